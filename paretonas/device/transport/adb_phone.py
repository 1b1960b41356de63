"""What is done on a phone: files are pushed there once, by their contents, and the runner is asked.

Everything here may be done twice: a connection that is lost in the middle is mended, and it is done again.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from paretonas.device.contract import AppRuns, Runtime
from paretonas.device.timing import Protocol, Samples
from paretonas.device.transport.adb_answers import (
    answer_of,
    app_runs_of,
    battery_of,
    conditions_of,
    joules_between,
    read_examples,
    samples_of,
    write_examples,
)
from paretonas.device.transport.adb_link import GUIDE, Adb, LostError, Ran, end_of, quoted
from paretonas.errors import DeviceError, MachineError, MeasureError, WorkError
from paretonas.export import Arrays, ModelFile, example_inputs
from paretonas.files import refusals, scratch_folder

ENGINES = ("litert", "onnxruntime")
"""Those whose C interface the runner knows."""
KNOWN_OPTIONS = (("delegate", "xnnpack"), ("precision", "float32"), ("precision", "int8"))
"""Of runtimes, with the values that the runner's engines have."""
PROPERTIES = {"soc": "ro.soc.model", "phone": "ro.product.model", "android": "ro.build.version.release"}
NATIVE = Path(__file__).parents[1] / "native"

_count = itertools.count()


@dataclass(frozen=True)
class Settings:
    """The options of the transport that say what is done on the phone, and how."""

    runner: str
    library: str
    benchmark_binary: str
    folder: str
    cores: str
    celsius: float
    cooldown: float
    keep: float
    timeout: float


@dataclass(frozen=True)
class Phone:
    """A phone that is reached over a link. Any method may raise `LostError`; so may it twice, and is then done anew."""

    link: Adb
    settings: Settings

    def identify(self, runtime: Runtime) -> dict[str, Any]:
        """What stays true of the phone."""
        asked = "; ".join(f'echo "{name}=$(getprop {key} 2>/dev/null)"' for name, key in PROPERTIES.items())
        said = self.link.shell(f"{asked}; cat /proc/cpuinfo").text
        told = dict(re.findall(r"^(\w+)=(.*\S)\s*$", said, re.M))
        named = re.findall(r"^(?:Hardware|model name)\s*:\s*(.*\S)", said, re.M)
        facts = {
            "cpu": told.get("soc") or next(iter(named), None) or told.get("phone") or "unknown",
            "phone": told.get("phone"),
            "android": told.get("android"),
        }
        if self.settings.benchmark_binary:
            binary = _digest(local_file("benchmark_binary", self.settings.benchmark_binary))
            machine = self.link.shell("uname -m").text.strip()
            return {"version": f"benchmark {binary[:12]}", "machine": machine, **facts, "cores": self.settings.cores}
        answer = self._ask(runtime, "version")
        library, state = _digest(local_file("library", self.settings.library)), answer.get("state")
        return {
            "version": f"{answer.get('version')} (library {library[:12]})",
            "machine": answer.get("machine"),
            **facts,
            "cores": answer.get("cores"),
            "governor": state.get("governor") if isinstance(state, dict) else None,
        }

    def measure(
        self, runtime: Runtime, files: tuple[ModelFile, ModelFile], protocol: Protocol
    ) -> tuple[Samples, Mapping[str, Any]]:
        """Time candidate and reference in turn, by the protocol, in one process there."""
        moment = {"date": datetime.now(UTC).isoformat(timespec="seconds"), "battery": self.battery()}
        options = {
            "clock": runtime.clock, "pairs": protocol.pairs, "loads": protocol.loads, "shortest": protocol.shortest,
            "settled": protocol.settled, "warmup": protocol.warmup, "celsius": self.settings.celsius,
            "cooldown": self.settings.cooldown,
        }  # fmt: skip
        with scratch_folder(files[0].path.parent) as passing, refusals(f"{passing} takes no files"):
            inputs = [passing / name for name in ("candidate.examples", "reference.examples")]
            for path, file in zip(inputs, files, strict=True):
                write_examples(path, [example_inputs(file.interface)])
            answer = self._ask(runtime, "measure", [*(file.path for file in files), *inputs], options)
        return samples_of(answer, protocol), {**conditions_of(answer, runtime.clock), **moment}

    def run(self, runtime: Runtime, file: ModelFile, examples: Sequence[Arrays]) -> list[Arrays]:
        """Run examples in one process there."""
        there = f"outputs-{os.getpid()}-{next(_count)}"
        with scratch_folder(file.path.parent) as passing, refusals(f"{passing} takes no files"):
            inputs, outputs = passing / "inputs.examples", passing / "outputs.examples"
            write_examples(inputs, examples)
            try:
                answer = self._ask(runtime, "run", [file.path, inputs], outputs=there)
                size = answer.get("bytes")
                if not isinstance(size, int) or answer.get("examples") != len(examples):
                    raise MeasureError(f"The runner runs {len(examples)} examples, but answered {str(answer)[:300]}.")
                self.link.pull(f"{self.settings.folder}/{there}", outputs, size, self.settings.timeout)
            finally:
                with suppress(LostError, WorkError):
                    self.there(quoted(["rm", "-f", f"./{there}", f"./{_name(inputs)}"]))
            found = read_examples(outputs)
        if len(found) != len(examples):
            raise MeasureError(f"The runner gives outputs of {len(examples)} examples, but gave {len(found)}.")
        return found

    def run_as_app(self, runtime: Runtime, file: ModelFile, runs: int, every: float) -> AppRuns:
        """Load a file in a process of its own there and run it now and then."""
        date = datetime.now(UTC).isoformat(timespec="seconds")
        with scratch_folder(file.path.parent) as passing, refusals(f"{passing} takes no files"):
            inputs = passing / "inputs.examples"
            write_examples(inputs, [example_inputs(file.interface)])
            seconds, before = self.settings.timeout + runs * every, self.battery()
            answer = self._ask(runtime, "app", [file.path, inputs], {"runs": runs, "every": every}, seconds=seconds)
        found, after = app_runs_of(answer, runs), self.battery()
        conditions = {**found.conditions, "date": date, "battery": after}
        return replace(found, joules=joules_between(before, after), conditions=conditions)

    def battery(self) -> dict[str, Any] | None:
        """Its state, where it has one."""
        return battery_of(self.link.shell("dumpsys battery 2>/dev/null").text)

    def _ask(
        self,
        runtime: Runtime,
        command: str,
        files: Sequence[Path] = (),
        options: Mapping[str, Any] | None = None,
        outputs: str = "",
        seconds: float | None = None,
    ) -> dict[str, Any]:
        """The runner's answer to a command on files.

        Args:
            runtime: Whose engine it is to use.
            command: Of the runner.
            files: Of this machine.
            options: Of the command.
            outputs: A file that it is to write.
            seconds: That it may take; None: what a measurement may.
        """
        threads, settings = threads_of(runtime), self.settings
        limit = (seconds or settings.timeout) + settings.cooldown
        own = [local_file("runner", settings.runner), local_file("library", settings.library)]
        runner, library, *names = self.push([*own, *files])
        given = {
            "engine": runtime.engine, "library": f"./{library}", "threads": threads, "folder": ".",
            "cores": f"0x{settings.cores or 0}", "seconds": int(limit),
            "keep": settings.keep * 1e9, **(options or {}),
        }  # fmt: skip
        words = [word for name, value in given.items() for word in (f"--{name}", value)]
        paths = [f"./{name}" for name in (*names, *([outputs] if outputs else []))]
        # The runner ends itself in time; whoever waits gives it a little longer.
        ran = self.there(quoted([f"./{runner}", command, *words, *paths]), limit + 20)
        answer = answer_of(ran.text)
        if answer is None:
            raise MeasureError(_without_answer(ran))
        return answer

    # Files there

    def there(self, command: str, seconds: float = 60.0) -> Ran:
        """Run a command in the folder."""
        return self.link.shell(f"cd {shlex.quote(self.settings.folder)} && {command}", seconds)

    def push(self, paths: Sequence[Path]) -> list[str]:
        """Names in the folder, after the contents, under which files of this machine are whole there."""
        names = {_name(path): path for path in paths}
        folder = shlex.quote(self.settings.folder)
        look = f'for f in {" ".join(names)}; do [ -s "$f" ] && echo "has $f"; done; true'
        ran = self.link.shell(f"mkdir -p {folder} && cd {folder} && {{ {look}; }}")
        if ran.code:
            raise MachineError(
                f"The phone {self.link.serial} has no folder {self.settings.folder}: {end_of(ran.text + ran.errors)}. "
                "Give another folder=PATH, which the user `shell` may write to."
            )
        has = set(re.findall(r"^has (\S+)$", ran.text, re.M))
        for name, path in names.items():
            if name not in has:
                self._push(path, name)
        return [_name(path) for path in paths]

    def _push(self, path: Path, name: str) -> None:
        """Under another name first, so that under its own it is whole or not there."""
        draft = f"{name}.{os.getpid()}.part"
        try:
            self.link.push(path, f"{self.settings.folder}/{draft}", self.settings.timeout)
            told = self.there(f"{{ sha256sum {draft} 2>/dev/null || ls -l {draft}; }} && chmod 755 {draft}").text
            digest = re.search(r"\b[0-9a-f]{64}\b(?=\s)", told)  # phones before Android 6 have no sha256sum
            size = re.search(r"\s(\d+)\s+(?:\d{4}-\d\d-\d\d|[A-Z][a-z]{2}\s)", told)
            is_whole = digest[0] == _digest(path) if digest else size and int(size[1]) == path.stat().st_size
            if not is_whole:
                raise LostError(f"{path.name} did not arrive whole")
            if self.there(f"mv {draft} {name}").code:
                raise LostError(f"{path.name} could not be given its name")
        except BaseException:
            with suppress(LostError, WorkError):
                self.there(f"rm -f {draft}")
            raise


def threads_of(runtime: Runtime) -> int:
    """How many threads a runtime has, if it is one that the runner can have.

    Raises:
        DeviceError: Another engine.
    """
    if runtime.engine not in ENGINES:
        raise DeviceError(
            f"The transport 'adb' has the runtimes {' and '.join(ENGINES)}, but this one's engine is "
            f"{runtime.engine or 'PyTorch or another'}, which its runner does not know."
        )
    options = runtime.conditions()
    others = {
        name: value for name, value in options.items() if (name, value) not in KNOWN_OPTIONS and name != "threads"
    }
    if others:
        raise DeviceError(f"The transport 'adb' knows of the runtime's options `threads` alone, but got {others}.")
    return int(options["threads"])


def local_file(option: str, path: str) -> Path:
    """A file of this machine that an option names.

    Raises:
        DeviceError: There is none.
    """
    if not path or not Path(path).expanduser().is_file():
        built = f" The runner is built from {NATIVE}." if option == "runner" else ""
        raise DeviceError(f"The transport 'adb' needs {option}=PATH of a file, but got {path!r}.{built} {GUIDE}")
    return Path(path).expanduser()


def _without_answer(ran: Ran) -> str:
    """What a runner that gave no answer may have died of."""
    said = end_of(f"{ran.text}\n{ran.errors}") or "nothing"
    if ran.code in (126, 127) or "not executable" in said:
        return f"The runner cannot be started on the phone: {said}. Build it for the phone's processor and system."
    if ran.code > 128:
        memory = "The phone may have no memory left. " if ran.code == 137 else ""
        return f"The runner was ended on the phone by signal {ran.code - 128}. {memory}It said: {said}."
    return f"The runner answers with a line of JSON and its length, but said: {said}."


def _name(path: Path) -> str:
    """After its contents; the suffix stays, as engines tell formats by it."""
    return _digest(path) + (path.suffix if re.fullmatch(r"\.\w{1,12}", path.suffix, re.ASCII) else "")


def _digest(path: Path) -> str:
    with refusals(f"{path} cannot be read"):
        told = path.stat()
        return _digest_of(path, told.st_size, told.st_mtime_ns)


@lru_cache(maxsize=64)
def _digest_of(path: Path, size: int, changed: int) -> str:
    """The SHA-256 of a file that has not changed since."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
