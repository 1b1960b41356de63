"""A device behind SSH: OpenSSH's client starts the runner there and keeps the pipe."""

from __future__ import annotations

import atexit
import shlex
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from typing import IO, Any

from paretonas.device.contract import AppRuns, Runtime, Transport
from paretonas.device.runner.bundle import bundle
from paretonas.device.runner.wire import Message, WireError, read_message, write_message
from paretonas.device.timing import Protocol, Samples
from paretonas.device.transport.remote import LinkError, Remote, check_waiting
from paretonas.errors import DeviceError, MissingPackageError
from paretonas.export import LoadedModel, ModelFile

CONNECTING, SLACK = 30.0, 30.0
"""Seconds until a connection stands and Python has begun; by which an answer may be later than the device's limit."""
NEVER = (
    "Permission denied", "Host key verification failed", "Could not resolve hostname", "REMOTE HOST IDENTIFICATION",
    "Bad configuration option", "Can't open user config file", "not accessible", "no such identity", "Bad port",
    "not found", "No such file or directory", "paretonas needs Python", "No module named",
)  # fmt: skip
"""What ssh or the other side's shell says where it is of no use to try again."""

BOOT = """
import hashlib, os, sys
if sys.version_info < (3, 10):
    sys.exit("paretonas needs Python 3.10, but this is %d.%d; give python=PATH of a newer one" % sys.version_info[:2])
folder, digest, limit = os.path.expanduser(sys.argv[1]), sys.argv[2], sys.argv[3]
path = os.path.join(folder, "runner-" + digest + ".pyz")
def is_whole():
    return os.path.exists(path) and hashlib.sha256(open(path, "rb").read()).hexdigest() == digest
print("\\nparetonas-runner", "kept" if is_whole() else "wanted", flush=True)
if not is_whole():
    data = sys.stdin.buffer.read(int(sys.stdin.buffer.readline()))
    os.makedirs(folder, exist_ok=True)
    draft = path + "." + str(os.getpid())
    with open(draft, "wb") as file:
        file.write(data)
    os.replace(draft, path)
os.execv(sys.executable, [sys.executable, path, "serve", folder, limit])
"""


@dataclass(frozen=True)
class SshTransport(Transport):
    """A machine behind SSH that has Python 3.10, numpy and the runtime's package; ours need not be installed there.

    Keys, ports, jumps and names are those of your `~/.ssh/config`; nobody is asked for a password.

    Args:
        address: `host`, `user@host`, or a name of that configuration.
        python: The Python there.
        folder: There, for the runner and for models; `~` is the home.
        config: Another configuration file than `~/.ssh/config`.
        patience: Seconds that the device is waited for when it is gone; then the session ends and can be resumed.
        timeout: Seconds that one measurement, or one file on its way, may take.

    Raises:
        DeviceError: No address, or a value out of range.
    """

    address: str
    python: str = "python3"
    folder: str = "~/.cache/paretonas"
    config: str = ""
    patience: float = 120.0
    timeout: float = 600.0

    def __post_init__(self) -> None:
        if not self.address or self.address.startswith("-") or not self.address.isprintable() or " " in self.address:
            raise DeviceError(f"A device behind SSH is written ssh:user@host, but got the address {self.address!r}.")
        check_waiting(self.patience, self.timeout)

    @property
    def machine(self) -> str:
        return f"ssh:{self.address}"

    def identify(self, runtime: Runtime) -> Mapping[str, Any]:
        return _remote(self).identify(runtime)

    def measure(
        self, runtime: Runtime, candidate: ModelFile, reference: ModelFile, protocol: Protocol
    ) -> tuple[Samples, Mapping[str, Any]]:
        return _remote(self).measure(runtime, candidate, reference, protocol)

    def run_as_app(self, runtime: Runtime, file: ModelFile, runs: int, every: float) -> AppRuns:
        return _remote(self).run_as_app(runtime, file, runs, every)

    def open(self, runtime: Runtime, file: ModelFile) -> LoadedModel:
        return _remote(self).open(runtime, file)


@cache
def _remote(transport: SshTransport) -> Remote:
    """One for each device and process: a connection takes most of a second."""
    remote = Remote(transport.machine, lambda: SshLink(transport), transport.patience, transport.timeout)
    atexit.register(remote.close)
    return remote


class SshLink:
    """A running `ssh`.

    Args:
        transport: Where to.
    """

    def __init__(self, transport: SshTransport):
        self._timeout, self._address = transport.timeout + SLACK, transport.address
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the link; a pipe that nobody reads would fill
        digest, runner = bundle()
        there = [transport.python, "-c", BOOT, transport.folder, digest, str(transport.timeout)]
        command = [
            "ssh", "-T", *(["-F", transport.config] if transport.config else []),
            "-o", "BatchMode=yes", "-o", "ConnectTimeout=10",
            "-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=3", "--", transport.address,
            f"exec {shlex.join(there)}",
        ]  # fmt: skip
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._said, start_new_session=True
            )
        except FileNotFoundError:
            raise MissingPackageError("openssh-client", "A device behind SSH") from None
        try:
            self._greet(runner)
        except BaseException:
            self.close()
            raise

    def ask(self, message: Message) -> Message:
        with self._limited(self._timeout):
            write_message(self._in, message)
            return read_message(self._out)

    def close(self) -> None:
        self._process.kill()
        for stream in (self._in, self._out):
            with suppress(OSError):  # what was not sent cannot be any more
                stream.close()
        self._process.wait()
        self._said.close()

    def _greet(self, runner: bytes) -> None:
        """Wait until the runner answers; send it if it is not there."""
        with self._limited(CONNECTING, is_new=True):
            if self._greeting() == "wanted":
                self._in.write(b"%d\n" % len(runner) + runner)
                self._in.flush()
            read_message(self._out)

    def _greeting(self) -> str:
        """`kept` or `wanted`: whether the runner lies there."""
        for _ in range(1000):
            word, _, rest = self._out.readline(1 << 16).decode(errors="replace").strip().partition(" ")
            if word == "paretonas-runner":
                return rest
            if not word and self._process.poll() is not None:
                break
        raise WireError("no greeting")

    @contextmanager
    def _limited(self, seconds: float, is_new: bool = False) -> Iterator[None]:
        """Whatever goes wrong meanwhile, or takes longer, is a lost connection, or, if new, one that cannot be."""
        is_late = threading.Event()

        def end() -> None:
            is_late.set()
            self._process.kill()

        timer = threading.Timer(seconds, end)
        timer.start()
        try:
            yield
        except (OSError, ValueError, WireError) as error:
            self._process.kill()
            self._process.wait()
            if is_late.is_set():
                raise LinkError(f"no answer within {seconds:g} s") from None
            said = self._last_words()
            if is_new and any(text in said for text in NEVER):
                raise DeviceError(
                    f"A device behind SSH is reached by `ssh {self._address}` without a password, and has a Python of "
                    f"3.10 or newer, but: {said}"
                ) from None
            raise LinkError(said or str(error)) from None
        finally:
            timer.cancel()

    def _last_words(self) -> str:
        """The end of what ssh and the other side printed."""
        self._said.seek(0)
        return " ".join(self._said.read().decode(errors="replace").split())[-500:]

    @property
    def _in(self) -> IO[bytes]:
        assert self._process.stdin is not None
        return self._process.stdin

    @property
    def _out(self) -> IO[bytes]:
        assert self._process.stdout is not None
        return self._process.stdout
