"""A server that asks a device's runner for whoever knows the token.

One request is one message (`runner/wire.py`) in the body of a POST, and one in the answer. Nobody without the token
gets further than the headers; who has it may put models of known engines into the agent's own folder, by their digest,
and have them run. An engine runs in a process of its own: it may crash or hang, the agent stays.
"""

from __future__ import annotations

import hmac
import io
import ipaddress
import socket
import ssl
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from paretonas.device.runner.host import refused
from paretonas.device.runner.wire import Message, WireError, read_message, to_bytes
from paretonas.errors import UsageError

SHORTEST_TOKEN = 16
MOST_CONNECTIONS = 32
STRANGER_SECONDS = 20.0
"""How long somebody may take to shake hands and give the token."""
BUSY_SECONDS = 60.0
"""How long a request waits for the one that is at work."""


@dataclass(frozen=True)
class AgentOptions:
    """How an agent is reached, and by whom.

    Args:
        token: Whoever is to be served knows it: 16 printable characters or more, without spaces.
        folder: For models; nothing else is read or written.
        host: The address that it listens on. Others than this machine itself reach it only with a certificate.
        port: 0: a free one.
        certificate: PEM file, for TLS.
        key: PEM file of the certificate's key, if it is not in the same file.
        largest_mb: Of a request, in megabytes.
        limit: Seconds that one measurement, or one request on its way, may take.

    Raises:
        UsageError: A short token, no certificate where one is needed, or a number out of range.
    """

    token: str
    folder: Path
    host: str = "127.0.0.1"
    port: int = 8765
    certificate: Path | None = None
    key: Path | None = None
    largest_mb: int = 512
    limit: float = 600.0

    def __post_init__(self) -> None:
        is_plain = self.token.isascii() and self.token.isprintable() and " " not in self.token
        if not (is_plain and len(self.token) >= SHORTEST_TOKEN):
            raise UsageError(
                f"A token has {SHORTEST_TOKEN} printable characters or more and no spaces, but this one has "
                f"{len(self.token)}. Make one: python3 -c 'import secrets; print(secrets.token_urlsafe())'"
            )
        if self.certificate is None and not is_loopback(self.host):
            raise UsageError(
                f"An agent that others than this machine reach has a certificate, but got (host={self.host!r}) without "
                "one. Make one: openssl req -x509 -newkey rsa:3072 -nodes -days 365 -keyout key.pem -out "
                "certificate.pem -subj /CN=agent -addext subjectAltName=DNS:NAME,IP:ADDRESS"
            )
        if not (0 <= self.port < 65536 and 1 <= self.largest_mb <= 1024 and 1 <= self.limit <= 1e6):
            raise UsageError(
                "`0 <= port < 65536`, `1 <= largest_mb <= 1024` and `1 <= limit <= 1e6` must hold, but got "
                f"(port={self.port}, largest_mb={self.largest_mb}, limit={self.limit:g})."
            )


def is_loopback(host: str) -> bool:
    """Whether that is this machine itself."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Agent(ThreadingHTTPServer):
    """Serves until it is shut down.

    Args:
        options: How.
        ask: Gives the runner's answer to a message; called by one thread at a time.

    Raises:
        UsageError: The address cannot be listened on, or the certificate cannot be read.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, options: AgentOptions, ask: Callable[[Message], Message]):
        self.options, self.ask = options, ask
        self.busy = threading.Lock()
        self.stranger = threading.local()
        self._places = threading.BoundedSemaphore(MOST_CONNECTIONS)
        self._tls = _tls(options)
        if ":" in options.host:
            self.address_family = socket.AF_INET6
        try:
            super().__init__((options.host, options.port), _Handler)
        except (OSError, OverflowError) as error:
            raise UsageError(f"An agent listens on {options.host}:{options.port}, but cannot: {error}.") from None

    @property
    def url(self) -> str:
        """Where it is reached."""
        host = f"[{self.options.host}]" if ":" in self.options.host else self.options.host
        return f"{'http' if self._tls is None else 'https'}://{host}:{self.server_address[1]}"

    def process_request(self, request: Any, client_address: Any) -> None:
        """In a thread; one connection too many is closed."""
        if self._places.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Shake hands here, so that nobody who is slow at it keeps the others waiting."""
        self.stranger.timer = timer = threading.Timer(STRANGER_SECONDS, _cut, (request,))
        timer.start()
        try:
            request.settimeout(30)
            if self._tls is not None:
                request = self._tls.wrap_socket(request, server_side=True)
            super().process_request_thread(request, client_address)
        except OSError:  # of the handshake; ssl.SSLError is one
            self.shutdown_request(request)
        finally:
            timer.cancel()
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that broke; who is served next is not concerned."""
        sys.stderr.write(f"{client_address[0]}: {type(sys.exc_info()[1]).__name__}\n")


def _cut(connection: socket.socket) -> None:
    with suppress(OSError):  # it is gone already
        connection.shutdown(socket.SHUT_RDWR)


def _tls(options: AgentOptions) -> ssl.SSLContext | None:
    if options.certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(options.certificate, options.key)
    except OSError as error:
        raise UsageError(f"A certificate and its key are PEM files, but {options.certificate}: {error}.") from None
    return context


class _Handler(BaseHTTPRequestHandler):
    server: Agent
    server_version, sys_version = "paretonas", ""
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.close_connection = True
        options, length = self.server.options, self.headers.get("Content-Length", "")
        given = self.headers.get("Authorization", "").encode("latin-1", "replace")
        if not hmac.compare_digest(given, f"Bearer {options.token}".encode()):
            return self.send_error(401, "wrong token")
        self.server.stranger.timer.cancel()
        if not (length.isascii() and length.isdigit() and len(length) < 12) or "Transfer-Encoding" in self.headers:
            return self.send_error(411, "a length is needed")
        if int(length) > options.largest_mb << 20:
            return self.send_error(413, f"at most {options.largest_mb} MB")
        if self.path != "/":
            return self.send_error(404, "messages are posted to /")
        try:
            message = read_message(io.BytesIO(self._body(int(length))))
        except WireError as error:
            return self.send_error(400, f"no message: {error}"[:200].encode("ascii", "replace").decode())
        self.close_connection = False
        return self._answer(message)

    def _body(self, length: int) -> bytes:
        """The body; it may take as long as a measurement, however slowly it trickles."""
        timer = threading.Timer(self.server.options.limit, _cut, (self.connection,))
        timer.start()
        try:
            return self.rfile.read(length)
        finally:
            timer.cancel()

    def _answer(self, message: Message) -> None:
        if not self.server.busy.acquire(timeout=BUSY_SECONDS):
            return self.send_error(503, "busy with another request")
        try:
            answer = self.server.ask(message)
        except Exception as error:
            answer = refused("MeasureError", f"{type(error).__name__}: {error}")
        finally:
            self.server.busy.release()
        data = to_bytes(answer)
        self.send_response(200)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
        return None

    def log_message(self, format: str, *args: object) -> None:
        """One line, of printable characters: what others send is in it."""
        text = (format % args)[:200]
        sys.stderr.write(f"{self.client_address[0]} {''.join(c if c.isprintable() else '?' for c in text)}\n")
