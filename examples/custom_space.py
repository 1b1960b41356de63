"""A search space of one's own: defined, sampled, built, costed and timed on ONNX Runtime.

Once registered, `SearchConfig(..., space="tiny")` searches it as any other space.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from paretonas import Decision, SearchSpace, Store, build, cost, parse_device
from paretonas.evaluation.trained import SCREEN, time_model
from paretonas.space import spaces
from paretonas.space.mnasnet import BlockSpec, MnasNetSpec

CHOICES = {"kernel": (3, 5), "expansion": (2, 4, 6), "layers": (1, 2, 3)}


def decode(values: Mapping[str, str | int | float]) -> MnasNetSpec:
    """The network that the chosen values mean."""
    blocks = []
    for i in (1, 2, 3):
        kernel, expansion, layers = (int(values[f"stage{i}.{name}"]) for name in CHOICES)
        blocks.append(BlockSpec("mbconv", kernel, 8 * 2**i, layers, 2, expansion, skip="identity"))
    return MnasNetSpec(tuple(blocks), stem_filters=16, stem_stride=1, head_filters=256)


@dataclass(frozen=True)
class TinySpace:
    """Three stages of inverted bottlenecks for images of 32 pixels."""

    def build(self) -> SearchSpace:
        """The space; a dataclass with fields would have options."""
        names = [(i, name) for i in (1, 2, 3) for name in CHOICES]
        return SearchSpace("tiny", tuple(Decision(f"stage{i}.{name}", CHOICES[name]) for i, name in names), decode)


spaces.register("tiny", f"{__name__}:TinySpace")

if __name__ == "__main__":
    space, device, shape, rng = spaces.create("tiny").build(), parse_device("onnxruntime"), (1, 3, 32, 32), Random(0)
    print(f"{space.size:,} architectures; three of them:")
    with TemporaryDirectory() as folder:
        store = Store(Path(folder, "store.db"))
        for _ in range(3):
            spec = space.decode(space.sample(rng))
            model = build(spec, classes=10)
            costs = cost(model, shape)
            latency = time_model(device, model, spec, shape, Path(folder), store, SCREEN)
            print(f"{costs.params:>8,} params {costs.macs:>11,} MACs {latency.latency_ms:6.2f} ms")
        store.close()
