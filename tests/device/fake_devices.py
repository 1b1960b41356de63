"""An engine and a transport that only answer."""

import itertools
from dataclasses import dataclass, field
from typing import ClassVar

from paretonas.device import Runtime, Transport
from paretonas.device.contract import AppRuns
from paretonas.space import Interface

IMAGES = Interface.of_images(3, 8, 10)


@dataclass(frozen=True)
class FakeRuntime(Runtime):
    format: ClassVar[str] = "onnx"
    threads: int = 1
    outputs: object = None

    def version(self):
        return "1.2.3"

    def conditions(self):
        return {"threads": self.threads, "mode": "fake"}

    def interface(self, path):
        return IMAGES

    def load(self, path):
        return lambda inputs: self.outputs


@dataclass(frozen=True)
class FakeTransport(Transport):
    """Somewhere else: answers with the samples that it was given, one after the other."""

    address: str = "somewhere"
    port: int = 22
    is_fast: bool = False
    answers: tuple = field(default=(), repr=False)
    calls: list = field(default_factory=list, repr=False)
    asked: list = field(default_factory=list, repr=False)
    dates: object = field(default_factory=lambda: itertools.count(1), repr=False)

    @property
    def machine(self):
        return self.address

    def identify(self, runtime):
        self.asked.append(runtime)
        return {"version": f"{runtime.version()} over there", "cpu": "Abacus", "machine": "wood"}

    def measure(self, runtime, candidate, reference, protocol):
        self.calls.append((runtime, candidate, reference, protocol))
        return self.answers[len(self.calls) - 1], {"core": 7, "load": 0.5, "date": str(next(self.dates))}

    def run_as_app(self, runtime, file, runs, every):
        self.calls.append(("app", runtime, file, runs, every))
        return AppRuns(0.5, 0.25, (0.125,) * runs, 2_000_000, 1_000_000, 0.5, {"throttled": "no"})

    def open(self, runtime, file):
        self.calls.append(("open", file))
        return runtime.load(file.path)
