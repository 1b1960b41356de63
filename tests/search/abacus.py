"""A device on which a file takes a nanosecond a byte, and a search of real digits that is timed there."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from paretonas.device import Runtime, Transport
from paretonas.device.contract import AppRuns
from paretonas.device.timing import Protocol, Samples
from paretonas.export import LoadedModel, ModelFile
from paretonas.loop.plan import Budget
from paretonas.registry import Selection
from paretonas.search.config import DeviceConfig, SearchConfig
from paretonas.space import Decision, SearchSpace
from paretonas.space.mnasnet import BlockSpec, MnasNetSpec
from paretonas.space.space import Choice

OFFERED: dict[str, tuple[Choice, ...]] = {"kernel": (3, 5), "layers": (1, 2), "expansion": (2, 4)}


@dataclass(frozen=True)
class Abacus(Transport):
    """Answers at once; files run in this process.

    Args:
        address: The machine.
    """

    address: str = "here"

    @property
    def machine(self) -> str:
        return self.address

    def identify(self, runtime: Runtime) -> Mapping[str, Any]:
        return {"version": runtime.version(), "cpu": "beads", "machine": "wood"}

    def measure(
        self, runtime: Runtime, candidate: ModelFile, reference: ModelFile, protocol: Protocol
    ) -> tuple[Samples, Mapping[str, Any]]:
        one, other = ((1e-9 * file.path.stat().st_size,) * protocol.pairs for file in (candidate, reference))
        return Samples(one, one, other, other, loads=protocol.portions), {"core": None, "load": 0.0, "date": "today"}

    def run_as_app(self, runtime: Runtime, file: ModelFile, runs: int, every: float) -> AppRuns:
        return AppRuns(1e-3, 1e-3, (1e-3,) * runs)

    def open(self, runtime: Runtime, file: ModelFile) -> LoadedModel:
        return runtime.load(file.path)


@dataclass(frozen=True)
class Few:
    """Eight small networks, or the first of them alone."""

    resolution: int = 8
    single: bool = False

    def build(self) -> SearchSpace:
        def decode(values: Mapping[str, Choice]) -> MnasNetSpec:
            kernel, layers, expansion = (int(values[name]) for name in OFFERED)
            block = BlockSpec("mbconv", kernel, 8, layers, 2, expansion, skip="identity")
            return MnasNetSpec((block,), stem_filters=8, head_filters=16)

        offered = {name: choices[:1] if self.single else choices for name, choices in OFFERED.items()}
        return SearchSpace("few", tuple(Decision(*one) for one in offered.items()), decode, width=0.25)


DIGITS = Selection("classification", {"data": "digits", "train_images": 100})
QUICK = Selection("search", {"epochs": 0.5, "layout": "channels-last", "precision": "float32"})
CONFIG = SearchConfig(
    "s",
    task=DIGITS,
    space=Selection("few"),
    strategy=Selection("random"),
    devices=(DeviceConfig("onnxruntime@abacus", target_ms=1.0),),
    recipe=QUICK,
    budget=Budget(trials=3),
    executor=Selection("serial"),
    torch_device="cpu",
)
"""Three random networks, each trained for a step."""
