"""A device behind an agent: the same messages as over SSH, in HTTPS."""

from __future__ import annotations

import atexit
import http.client
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from paretonas.device.agent.__main__ import TOKEN, read_token
from paretonas.device.agent.server import is_loopback
from paretonas.device.contract import AppRuns, Runtime, Transport
from paretonas.device.runner.wire import Message, WireError, read_message, to_bytes
from paretonas.device.timing import Protocol, Samples
from paretonas.device.transport.remote import LinkError, Remote, check_waiting
from paretonas.errors import DeviceError, UsageError
from paretonas.export import LoadedModel, ModelFile

SLACK = 90.0
"""Seconds by which an answer may be later than the agent's limit: a minute of waiting for another's is in them."""


@dataclass(frozen=True)
class AgentTransport(Transport):
    """A machine on which `paretonas agent` runs, or the one file that it writes; that needs Python 3.10 and numpy.

    Args:
        address: `https://host:port`; `http://` to this machine itself.
        token_file: File of the agent's token; without one it is the variable PARETONAS_AGENT_TOKEN.
        certificate: PEM file of what the agent proves itself with, if no authority known here signed it.
        patience: Seconds that the device is waited for when it is gone; then the session ends and can be resumed.
        timeout: Seconds that one measurement, or one file on its way, may take.

    Raises:
        DeviceError: No such address, or a value out of range.
    """

    address: str
    token_file: str = ""
    certificate: str = ""
    patience: float = 120.0
    timeout: float = 600.0

    def __post_init__(self) -> None:
        check_waiting(self.patience, self.timeout)
        self.parts()

    def parts(self) -> SplitResult:
        """The address, taken apart.

        Raises:
            DeviceError: It is none, or not encrypted on its way to another machine.
        """
        try:
            parts = urlsplit(self.address)
            is_whole = bool(parts.hostname and parts.port) and parts.username is None
        except ValueError:  # no number for a port
            is_whole = False
        is_plain = is_whole and not parts.path.strip("/") and not parts.query and not parts.fragment
        if not is_plain or parts.scheme not in ("https", "http"):
            raise DeviceError(f"An agent's address is written https://host:port, but got {self.address!r}.")
        if parts.scheme == "http" and not is_loopback(str(parts.hostname)):
            raise DeviceError(f"An agent on another machine is reached by https://, but got {self.address!r}.")
        return parts

    @property
    def machine(self) -> str:
        parts = self.parts()
        return f"agent:{parts.hostname}:{parts.port}"

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
def _remote(transport: AgentTransport) -> Remote:
    """One for each device and process."""
    remote = Remote(transport.machine, lambda: AgentLink(transport), transport.patience, transport.timeout)
    atexit.register(remote.close)
    return remote


class AgentLink:
    """A connection that is kept.

    Args:
        transport: Where to.

    Raises:
        DeviceError: There is no token, or a file that cannot be read.
    """

    def __init__(self, transport: AgentTransport):
        parts = transport.parts()
        host, port, timeout = str(parts.hostname), parts.port, transport.timeout + SLACK
        try:
            self._token = read_token(Path(transport.token_file) if transport.token_file else None)
            trusted = ssl.create_default_context(cafile=transport.certificate or None)
        except (UsageError, OSError) as error:
            raise DeviceError(f"An agent is spoken to with a token and a certificate, but: {error}") from None
        if not (self._token.isascii() and self._token.isprintable() and self._token):
            raise DeviceError(f"An agent has a token, but none was given. Say token_file=FILE, or set {TOKEN}.")
        self._connection = (
            http.client.HTTPConnection(host, port, timeout=timeout)
            if parts.scheme == "http"
            else http.client.HTTPSConnection(host, port, timeout=timeout, context=trusted)
        )
        self._address = transport.address

    def ask(self, message: Message) -> Message:
        try:
            with suppress(BrokenPipeError, ConnectionResetError):  # it may have said why, before it had heard all
                self._connection.request("POST", "/", to_bytes(message), {"Authorization": f"Bearer {self._token}"})
            with self._connection.getresponse() as response:
                if response.status == 200:
                    return read_message(response)
        except ssl.SSLCertVerificationError as error:
            raise DeviceError(
                f"An agent proves that it is {self._address}, but: {error.verify_message}. Give the certificate that "
                "it was started with as certificate=FILE."
            ) from None
        except (OSError, http.client.HTTPException, WireError) as error:
            raise LinkError(str(error) or type(error).__name__) from None
        if response.status == 503:
            raise LinkError("it is busy with another's request")
        if response.status == 401:
            raise DeviceError(f"The agent at {self._address} has another token. Give the one that it was started with.")
        reason = "".join(character if character.isprintable() else "?" for character in response.reason)[:200]
        raise DeviceError(f"The agent at {self._address} takes messages, but refused one: {response.status} {reason}.")

    def close(self) -> None:
        self._connection.close()
