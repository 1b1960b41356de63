"""Platform-aware neural architecture search.

The names here are the public interface; importing them does not import torch until one that needs it is used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from paretonas.device import parse_device
    from paretonas.errors import ParetonasError
    from paretonas.network import build
    from paretonas.network.cost import cost
    from paretonas.objective import Objective, front, hypervolume, mnasnet_reward
    from paretonas.report import front_trials
    from paretonas.search.config import SearchConfig
    from paretonas.search.finalists import train_trials
    from paretonas.search.search import Search, new_search, open_search
    from paretonas.space import Architecture, Decision, SearchSpace
    from paretonas.store import Store
    from paretonas.strategy import strategies
    from paretonas.zoo.zoo import zoo_spec

_HOMES = {
    "Architecture": "paretonas.space",
    "Decision": "paretonas.space",
    "Objective": "paretonas.objective",
    "ParetonasError": "paretonas.errors",
    "Search": "paretonas.search.search",
    "SearchConfig": "paretonas.search.config",
    "SearchSpace": "paretonas.space",
    "Store": "paretonas.store",
    "build": "paretonas.network",
    "cost": "paretonas.network.cost",
    "front": "paretonas.objective",
    "front_trials": "paretonas.report",
    "hypervolume": "paretonas.objective",
    "mnasnet_reward": "paretonas.objective",
    "new_search": "paretonas.search.search",
    "open_search": "paretonas.search.search",
    "parse_device": "paretonas.device",
    "strategies": "paretonas.strategy",
    "train_trials": "paretonas.search.finalists",
    "zoo_spec": "paretonas.zoo.zoo",
}

__all__ = [
    "Architecture",
    "Decision",
    "Objective",
    "ParetonasError",
    "Search",
    "SearchConfig",
    "SearchSpace",
    "Store",
    "build",
    "cost",
    "front",
    "front_trials",
    "hypervolume",
    "mnasnet_reward",
    "new_search",
    "open_search",
    "parse_device",
    "strategies",
    "train_trials",
    "zoo_spec",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'paretonas' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
