"""What runs on a node of a cluster for a job of a search elsewhere."""

from __future__ import annotations

import os
import platform
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from multiprocessing import spawn
from pathlib import Path
from typing import Any

from paretonas.errors import MachineError
from paretonas.executor.executor import Failure, Outcome, attempt
from paretonas.executor.ray.sending import bring
from paretonas.executor.sending import call, pack
from paretonas.executor.spawning import THREAD_VARIABLES

PACKAGES = ("paretonas", "torch")
"""That are of one version wherever networks of a search are trained."""
TRUSTED = "PARETONAS_TRUSTED"
"""Environment variable: modules that jobs may import; see `paretonas.space.trust`."""


MAIN = b"__main__"
"""In a pickled call that needs something of the script which the search is run by."""


@dataclass(frozen=True)
class Ticket:
    """What a node is told with each job.

    Args:
        versions: Of Python and packages where the search runs.
        threads: Of numerical libraries.
        memory: Bytes that the job may allocate; None: no limit.
        trusted: What it may import; see `TRUSTED`.
        folder: In which the search runs.
        sys_path: Where the search looks for modules.
        main: Its main module, as `multiprocessing` says it to a process that it spawns.
    """

    versions: Mapping[str, str]
    threads: int
    memory: int | None
    trusted: str | None
    folder: str
    sys_path: tuple[str, ...]
    main: Mapping[str, str]


def run(payload: bytes, ticket: Ticket, courier: Any) -> Iterator[Any]:
    """A task of Ray: gives why this node is not fit for the job, or its name as that begins; then the packed outcome.

    Args:
        payload: The pickled call.
        ticket: See there.
        courier: Brings files; None where the call names none.
    """
    refusal = _unlike(ticket.versions)
    yield refusal or socket.gethostname()
    if refusal is None:
        yield pack(_at_home(payload, ticket, courier))


@cache
def versions() -> Mapping[str, str]:
    """Of Python and of the packages that matter, where they are installed."""
    found = {"Python": ".".join(platform.python_version_tuple()[:2])}
    for name in PACKAGES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _unlike(wanted: Mapping[str, str]) -> Failure | None:
    """That this node has other versions than the search, if it has."""
    have = versions()
    for name, one in wanted.items():
        if have.get(name) != one:
            what = f"Nodes have the search's versions, {name} {one}, but {socket.gethostname()} has {have.get(name)}."
            return Failure.of(MachineError(f"{what} Install that there, then go on."))
    return None


def _at_home(payload: bytes, ticket: Ticket, courier: Any) -> Outcome:
    """The job's outcome, in surroundings like those of the search."""
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(ticket.threads)))
    if ticket.trusted is not None:
        os.environ[TRUSTED] = ticket.trusted
    sys.path += [path for path in ticket.sys_path if path not in sys.path]
    if Path(ticket.folder).is_dir():
        os.chdir(ticket.folder)
    with _limited(ticket.memory):
        outcome = attempt(_call, payload, ticket.main, courier)
    if outcome.failure is None or not outcome.failure.traceback:
        return outcome
    told = f"On the node {socket.gethostname()}:\n{outcome.failure.traceback}"
    return replace(outcome, failure=replace(outcome.failure, traceback=told))


def _call(payload: bytes, main: Mapping[str, str], courier: Any) -> Any:
    if courier is None:
        return _called(payload, main)
    from paretonas.executor.ray.bringing import Bringer

    with Bringer(courier) as bringer:
        bring(bringer)
        try:
            return _called(payload, main)
        finally:
            bring(None)


def _called(payload: bytes, main: Mapping[str, str]) -> Any:
    try:
        if MAIN in payload:
            spawn.prepare(dict(main))
        return call(payload)
    except (ModuleNotFoundError, FileNotFoundError) as error:
        lacking = getattr(error, "name", None) or main.get("init_main_from_path")
        if isinstance(error, FileNotFoundError) and error.filename != lacking:
            raise
        raise MachineError(
            f"Nodes have the modules that the search uses, but {socket.gethostname()} cannot import {lacking}. "
            "Install it there, or share its folder under the same path, then go on."
        ) from error


@contextmanager
def _limited(memory: int | None) -> Iterator[None]:
    """Meanwhile this process may allocate so many bytes more; held by Linux only."""
    if memory is None or not sys.platform.startswith("linux"):
        yield
        return
    import resource  # of Unix only

    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = _allocated() + memory
    resource.setrlimit(resource.RLIMIT_DATA, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _allocated() -> int:
    """Bytes that count against the limit now."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmData:"):
            return int(line.split()[1]) * 1024
    return 0
