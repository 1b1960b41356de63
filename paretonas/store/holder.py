"""The records of who holds a search, and of what is worked on there."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from paretonas.files import is_alive
from paretonas.store.address import without_passwords


@dataclass(frozen=True)
class Holder:
    """A process that writes into a search.

    Args:
        pid: Its number.
        machine: Name of its machine.
        command: What it was started as, without passwords.
        system: Of the numbers of processes: the machine's start and its container; empty where that is not known.
    """

    pid: int
    machine: str
    command: str
    system: str = ""

    @classmethod
    def here(cls) -> Holder:
        """This process."""
        command = " ".join([Path(sys.argv[0]).name, *map(without_passwords, sys.argv[1:])])
        return cls(os.getpid(), socket.gethostname(), command, _system())

    @classmethod
    def read(cls, text: str) -> Holder | None:
        """What was written as JSON; None: it is no holder."""
        try:
            data = json.loads(text)
            command, machine, system = (str(data.get(key, "")) for key in ("command", "machine", "system"))
            return cls(int(data["pid"]), machine, command, system)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
            return None

    def to_json(self) -> dict[str, Any]:
        """JSON data."""
        return asdict(self)

    @property
    def is_gone(self) -> bool:
        """Whether it certainly is: its machine is this one, and it is not among the processes."""
        return bool(self.system) and self.system == _system() and not is_alive(self.pid)

    def __str__(self) -> str:
        return f"process {self.pid} ({_plain(self.command):.200}) on {_plain(self.machine):.80}"


@dataclass(frozen=True)
class Work:
    """What a trial is at.

    Args:
        trial: Its number.
        stage: Of its evaluation.
        node: The machine where that runs; empty: not known, or it has yet to begin.
        seconds: For how long it has.
        share: Of it that is done; None: not known.
    """

    trial: int
    stage: str
    node: str = ""
    seconds: float = 0.0
    share: float | None = None

    def to_json(self) -> dict[str, Any]:
        """JSON data."""
        return asdict(self)


def works_from_json(data: Any) -> tuple[Work, ...]:
    """What was written; whatever is no work is left out."""
    found = []
    for item in data if isinstance(data, list) else ():
        if isinstance(item, Mapping):
            try:
                share = item.get("share")
                numbers = float(item.get("seconds", 0.0)), None if share is None else float(share)
                found.append(Work(int(item["trial"]), str(item["stage"]), str(item.get("node", "")), *numbers))
            except (ValueError, KeyError, TypeError, OverflowError):
                continue
    return tuple(found)


def _plain(text: str) -> str:
    """What a terminal takes for a command, as escapes: it may be anybody's words."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text)


def _system() -> str:
    """What the numbers of this machine's processes hold for, where it tells (Linux)."""
    try:
        start = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{start} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""
