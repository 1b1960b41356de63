"""Which architecture to try next."""

from paretonas.registry import Registry
from paretonas.strategy.strategy import Prior, Strategy, StrategyOptions

strategies = Registry(
    "strategy",
    {
        "enumeration": "paretonas.strategy.enumeration:Enumeration",
        "generational": "paretonas.strategy.generational:Generational",
        "local-search": "paretonas.strategy.local_search:LocalSearch",
        "nsga2": "paretonas.strategy.nsga2:NSGA2",
        "ppo": "paretonas.strategy.ppo:PPO",
        "progressive": "paretonas.strategy.progressive:Progressive",
        "random": "paretonas.strategy.random:RandomSearch",
        "reinforce": "paretonas.strategy.reinforce:Reinforce",
        "regularized-evolution": "paretonas.strategy.regularized_evolution:RegularizedEvolution",
        "surrogate": "paretonas.strategy.surrogate:Surrogate",
    },
)

__all__ = ["Prior", "Strategy", "StrategyOptions", "strategies"]
