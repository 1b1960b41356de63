"""Commands to a phone through `adb`, whose return codes are never trusted.

Phones before Android 7 always return 0, and so does a newer one that is lost in the middle of a command. So whatever
runs there ends in a line of ours, without which it did not end; what is pushed is read back; and a lost connection is
mended a few times before it is an error.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from paretonas.errors import DeviceError, MachineError, MeasureError

END = "paretonas-done"
BACK_WITHIN = 10.0
"""Seconds that a phone gets to come back."""
QUICK = 30.0
"""Seconds for commands that compute nothing."""
GUIDE = "See docs/guide/phones.md."

Found = TypeVar("Found")

REMEDIES = {
    "unauthorized": "Unlock its screen and allow USB debugging for this computer",
    "authorizing": "Unlock its screen and allow USB debugging for this computer",
    "offline": "Unplug it and plug it in again, or call `adb kill-server`",
    "no permissions": "Let your user use it: install the udev rules of the package "
    "android-sdk-platform-tools-common, join the group plugdev and plug it in again",
    "recovery": "Let it start as usual",
    "sideload": "Let it start as usual",
    "bootloader": "Let it start as usual",
}
"""What helps a phone that is in another state than `device`."""


class LostError(Exception):
    """The phone did not answer as one does that is still there."""


@dataclass(frozen=True)
class Ran:
    """What a command on the phone printed, its own return code, and what it printed as errors.

    Of a phone before Android 7, errors are part of the text.
    """

    text: str
    code: int
    errors: str = ""


@dataclass(frozen=True)
class Adb:
    """A phone as `adb` reaches it.

    Args:
        program: The command, or its path.
        serial: The phone's: as `adb devices` lists it, or `host:port`.
        retries: How often a lost connection is mended before it is an error.
    """

    program: str
    serial: str
    retries: int

    def steadily(self, do: Callable[[], Found]) -> Found:
        """Do something on the phone, and again where the connection was lost meanwhile.

        Args:
            do: May be done twice.

        Raises:
            MachineError: The phone is gone.
            MeasureError: It is there, but what is done is not answered.
        """
        for _ in range(self.retries):
            with suppress(LostError):
                return do()
            self._mend()
        try:
            return do()
        except LostError as error:
            self._require_present(str(error))
            raise MeasureError(f"The phone {self.serial} is there, but gives no whole answer: {error}") from None

    def shell(self, command: str, seconds: float = QUICK) -> Ran:
        """Run a line of the phone's shell to its end, whatever code it returns.

        Raises:
            LostError: It did not come to its end.
            MeasureError: It took longer than it may.
        """
        said, errors = self._call("shell", f"{command}; echo {END} $?", seconds=seconds)
        text = re.sub(r"\r+\n", "\n", said)  # of a terminal, which old phones put in between
        ended = re.search(rf"{END} (\d+)\s*$", text)
        if not ended:
            raise LostError(end_of(text) or end_of(errors) or "nothing is said")
        return Ran(text[: ended.start()], int(ended[1]), errors)

    def push(self, path: Path, to: str, seconds: float) -> None:
        """Copy a file of this machine; whoever calls looks whether it is whole.

        Raises:
            LostError: It may not have arrived.
            MachineError: The phone's disk is full, or does not take it.
        """
        said = "\n".join(self._call("push", str(path.absolute()), to, seconds=seconds))
        for refused, remedy in (
            ("No space left", "Free some space on the phone"),
            ("Read-only file system", "Give another folder=PATH"),
            ("Permission denied", "Give another folder=PATH, which the user `shell` may write to"),
        ):
            if refused in said:
                raise MachineError(f"The phone {self.serial} takes no file at {to}: {end_of(said)}. {remedy}.")

    def pull(self, path: str, to: Path, size: int, seconds: float) -> None:
        """Copy a file of that many bytes to this machine.

        Raises:
            LostError: It did not arrive whole.
        """
        said = "\n".join(self._call("pull", path, str(to.absolute()), seconds=seconds))
        if not to.exists() or to.stat().st_size != size:
            raise LostError(end_of(said) or f"{path} did not arrive")

    def _call(self, *words: str, seconds: float) -> tuple[str, str]:
        """What adb prints, and what as errors."""
        command = [self.program, "-s", self.serial, *words]
        try:
            ran = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds)
        except subprocess.TimeoutExpired:
            self._require_present("it does not answer")
            raise MeasureError(
                f"The phone {self.serial} answers within {seconds:g} s, but did not on `adb {words[0]}`. Give a longer "
                "timeout=SECONDS, or look whether it hangs."
            ) from None
        except OSError as error:
            raise DeviceError(
                f"Phones are reached by the command {self.program!r}, which cannot be run: {error.strerror}. Install "
                "it (`apt install adb`, or Android's platform tools), or give adb=PATH."
            ) from None
        return ran.stdout.decode(errors="replace"), ran.stderr.decode(errors="replace")

    def _mend(self) -> None:
        """Connect anew, and wait a while for the phone to come back."""
        calls = [["disconnect", self.serial], ["connect", self.serial]] if self._is_remote else [["reconnect"]]
        until, turn = time.monotonic() + BACK_WITHIN, 0
        while self._states().get(self.serial) != "device" and time.monotonic() < until:
            for call in calls if turn % 8 == 0 else ():  # a phone takes a second or two
                self._host(*call)
            turn += 1
            time.sleep(0.25)

    @property
    def _is_remote(self) -> bool:
        return bool(re.fullmatch(r"\S+:\d+", self.serial))

    def _host(self, *words: str) -> str:
        """What adb says of a command that is not the phone's; nothing where it hangs."""
        chosen = ["-s", self.serial] if words == ("reconnect",) else []
        try:
            ran = subprocess.run(
                [self.program, *chosen, *words], stdin=subprocess.DEVNULL, capture_output=True, timeout=QUICK
            )
        except (OSError, subprocess.TimeoutExpired):
            return ""
        return ran.stdout.decode(errors="replace")

    def _states(self) -> dict[str, str]:
        """Of every phone by its serial, as `adb devices` lists them."""
        lines = re.findall(r"^(\S+)\s+(no permissions|\S+)", self._host("devices", "-l"), re.M)
        return {serial: state for serial, state in lines if serial not in ("List", "*")}

    def _require_present(self, otherwise: str) -> None:
        """Whether the phone is there.

        Raises:
            MachineError: Not so; with what is, and what helps.
        """
        states = self._states()
        state = states.get(self.serial)
        if state == "device":
            return
        if state is not None:
            remedy = REMEDIES.get(state, "Look at its screen")
            raise MachineError(f"The phone {self.serial} is {state}, not ready. {remedy}, then go on. {GUIDE}")
        if not states:
            raise MachineError(
                f"No phone is attached, but {self.serial} is asked for ({otherwise}). Plug it in with USB debugging "
                f"turned on, see that `adb devices` lists it, then go on. {GUIDE}"
            )
        raise MachineError(
            f"The phone {self.serial} is not attached, but {', '.join(sorted(states))}. Plug it in, then go on; or "
            f"write the serial of one that is there. {GUIDE}"
        )


def quoted(words: Sequence[object]) -> str:
    """A command for the phone's shell, in which nothing is read as syntax."""
    return shlex.join(map(str, words))


def end_of(text: str) -> str:
    """The last words of what was printed, for a message; nothing in them is of more than one line."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[-300:].rstrip(".")
