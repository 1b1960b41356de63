"""What is wanted: rewards, limits and fronts. Pure functions."""

from paretonas.objective.pareto import front, hypervolume
from paretonas.objective.reward import Limit, Objective, mnasnet_reward

__all__ = ["Limit", "Objective", "front", "hypervolume", "mnasnet_reward"]
