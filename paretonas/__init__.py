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
    from paretonas.objective import Goals, Metric, Objective, front, front_trials
    from paretonas.search.finalists import train_trials
    from paretonas.search.search import Search, new_search, open_search
    from paretonas.search.sections import config_from_json
    from paretonas.space import Architecture, Decision, Interface, SearchSpace
    from paretonas.store import Store
    from paretonas.zoo import zoo_spec

_HOMES = {
    "Architecture": "paretonas.space",
    "Decision": "paretonas.space",
    "Goals": "paretonas.objective",
    "Interface": "paretonas.space",
    "Metric": "paretonas.objective",
    "Objective": "paretonas.objective",
    "ParetonasError": "paretonas.errors",
    "Search": "paretonas.search.search",
    "SearchSpace": "paretonas.space",
    "Store": "paretonas.store",
    "build": "paretonas.network",
    "config_from_json": "paretonas.search.sections",
    "cost": "paretonas.network.cost",
    "front": "paretonas.objective",
    "front_trials": "paretonas.objective",
    "new_search": "paretonas.search.search",
    "open_search": "paretonas.search.search",
    "parse_device": "paretonas.device",
    "train_trials": "paretonas.search.finalists",
    "zoo_spec": "paretonas.zoo",
}

__all__ = [
    "Architecture",
    "Decision",
    "Goals",
    "Interface",
    "Metric",
    "Objective",
    "ParetonasError",
    "Search",
    "SearchSpace",
    "Store",
    "build",
    "config_from_json",
    "cost",
    "front",
    "front_trials",
    "new_search",
    "open_search",
    "parse_device",
    "train_trials",
    "zoo_spec",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'paretonas' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
