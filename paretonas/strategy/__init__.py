"""Which architecture to try next."""

from paretonas.registry import Registry
from paretonas.strategy.strategy import Strategy, StrategyOptions

strategies = Registry(
    "strategy",
    {
        "enumeration": "paretonas.strategy.enumeration:Enumeration",
        "ppo": "paretonas.strategy.reinforce:PPO",
        "random": "paretonas.strategy.random:RandomSearch",
        "regularized-evolution": "paretonas.strategy.evolution:RegularizedEvolution",
    },
)

__all__ = ["Strategy", "StrategyOptions", "strategies"]
