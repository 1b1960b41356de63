"""A search space of one's own: defined, sampled, built, costed and timed on ONNX Runtime.

Once it is registered, a configuration with `"space": "tiny"` searches it as any other space.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from paretonas import Decision, Interface, SearchSpace, build, cost, parse_device
from paretonas.device.calibration import calibrate
from paretonas.evaluation.latencies import QUICK
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
    space, device, rng = spaces.create("tiny").build(), parse_device("onnxruntime"), Random(0)
    images = Interface.of_images(channels=3, resolution=32, classes=10)
    print(f"{space.size:,} architectures; three of them:")
    with TemporaryDirectory() as name:
        folder = Path(name)
        calibrated = calibrate(device, folder, images, QUICK).calibrated
        for _ in range(3):
            spec = space.decode(space.sample(rng))
            model = build(spec, images)
            costs, file = cost(model, images), device.export(model, spec, images, folder / "candidate")
            device.verify(model, file)
            latency = device.measure(file, folder, calibrated, QUICK)
            print(f"{costs.params:>8,} params {costs.macs:>11,} MACs {latency.latency_ms:6.2f} ms")
