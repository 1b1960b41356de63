"""A search of real digits whose accuracies and latencies are computed from the spec."""

from random import Random

from paretonas.search.config import SearchConfig
from paretonas.space import spec_hash

CONFIG = SearchConfig(
    "s",
    "digits",
    target_ms=1.0,
    width=0.25,
    strategy="random",
    trials=12,
    recipe="search:layout=channels-last,precision=float32",
    executor="serial",
    torch_device="cpu",
)


def number_of(spec):
    """In [0, 1), the same for the same spec."""
    return Random(spec_hash(spec)).random()
