"""What is wanted: metrics, rewards, goals, limits and fronts. Pure functions and tables."""

from paretonas.objective.goals import Goals, Limit, Objective
from paretonas.objective.metric import Metric, metric, metrics
from paretonas.objective.pareto import front, front_trials, hypervolume
from paretonas.objective.recommendation import Recommendation, recommend
from paretonas.objective.reward import Reward, mnasnet_reward, rewards

__all__ = [
    "Goals",
    "Limit",
    "Metric",
    "Objective",
    "Recommendation",
    "Reward",
    "front",
    "front_trials",
    "hypervolume",
    "metric",
    "metrics",
    "mnasnet_reward",
    "recommend",
    "rewards",
]
