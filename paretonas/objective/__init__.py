"""What is wanted: rewards, limits and fronts. Pure functions."""

from paretonas.objective.pareto import Goal, front, hypervolume
from paretonas.objective.reward import Limit, Objective, mnasnet_reward

__all__ = ["Goal", "Limit", "Objective", "front", "hypervolume", "mnasnet_reward"]
