"""The agent in its own process: who is served, and what a thousand hostile requests do to it."""

import http.client
import os
import random
import signal
import socket
import ssl
import subprocess
import sys
import time
from contextlib import suppress

import pytest
import torch

from paretonas.device import parse_device
from paretonas.device.agent.server import Agent, AgentOptions
from paretonas.device.runner.bundle import written_bundle
from paretonas.device.runner.wire import Message, read_message, to_bytes
from paretonas.device.timing import Protocol
from paretonas.device.transport.agent import AgentTransport
from paretonas.errors import DeviceError, MachineError, MeasureError, UsageError
from paretonas.network import build
from paretonas.space import Interface
from paretonas.zoo import zoo_spec

TOKEN = "a-token-of-many-letters"


class Running:
    """An agent and where it is."""

    def __init__(self, folder, *options):
        self.folder = folder / "agent"
        self._log = (folder / "log").open("wb+")
        self._process = subprocess.Popen(
            [sys.executable, str(written_bundle(folder)), "agent", "--port", "0", "--folder", "agent", *options],
            stderr=self._log, cwd=folder, env={**os.environ, "PARETONAS_AGENT_TOKEN": TOKEN},
        )  # fmt: skip
        for _ in range(600):
            said = (folder / "log").read_text()
            if "Listening on " in said:
                break
            assert self._process.poll() is None, said
            time.sleep(0.05)
        self.url = said.partition("Listening on ")[2].split()[0]
        self.port = int(self.url.rpartition(":")[2])

    def is_alive(self):
        return self._process.poll() is None

    def stop(self):
        self._process.send_signal(signal.SIGTERM)
        code = self._process.wait(20)
        self._log.close()
        return code


@pytest.fixture(scope="module")
def agent(tmp_path_factory):
    running = Running(tmp_path_factory.mktemp("device"))
    yield running
    assert running.stop() == 0


@pytest.fixture(autouse=True)
def token(monkeypatch):
    monkeypatch.setenv("PARETONAS_AGENT_TOKEN", TOKEN)


def post(port, body, headers=None, path="/", method="POST"):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, body, {"Authorization": f"Bearer {TOKEN}", **(headers or {})})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def test_a_network_is_checked_and_timed_on_an_agent(agent, tmp_path):
    device = parse_device(f"onnxruntime@agent:{agent.url}")
    assert device.facts["version"] == parse_device("onnxruntime").facts["version"]
    spec, interface = zoo_spec("mobilenet-v2", 0.25, 32), Interface.of_images(3, 32, 10)
    torch.manual_seed(0)
    model = build(spec, interface)
    file = device.export(model, spec, interface, tmp_path / "candidate")
    assert device.verify(model, file) < 1e-4
    latency = device.measure(file, tmp_path, None, Protocol(pairs=4, loads=2, attempts=1))
    assert 0.05 < latency.ratio < 20
    assert {"throttled", "load", "core"} <= set(latency.conditions)
    assert device.identity["transport"] == f"agent:127.0.0.1:{agent.port}"


def test_a_wrong_token_is_told_apart_and_never_in_an_error(agent, monkeypatch):
    monkeypatch.setenv("PARETONAS_AGENT_TOKEN", "another-token-of-many-letters")
    device = parse_device(f"onnxruntime@agent:{agent.url},timeout=20")
    with pytest.raises(DeviceError, match="has another token") as caught:
        device.facts  # noqa: B018
    assert "another-token" not in str(caught.value)
    monkeypatch.delenv("PARETONAS_AGENT_TOKEN")
    with pytest.raises(DeviceError, match="token_file=FILE"):
        parse_device(f"onnxruntime@agent:{agent.url},timeout=30").facts  # noqa: B018


def test_a_token_comes_from_a_file(agent, monkeypatch, tmp_path):
    monkeypatch.delenv("PARETONAS_AGENT_TOKEN")
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    assert parse_device(f"onnxruntime@agent:{agent.url},token_file={tmp_path / 'token'}").facts["cpu"]


def test_what_the_device_cannot_do_is_a_measurements_error(agent, tmp_path):
    (tmp_path / "a.onnx").write_bytes(b"\x08model")
    device = parse_device(f"onnxruntime@agent:{agent.url}")
    from paretonas.export import ModelFile

    with pytest.raises(MeasureError, match=r"On agent:127.0.0.1:\d+: ONNX Runtime cannot load"):
        device.open(ModelFile(tmp_path / "a.onnx", Interface.of_images(3, 8, 2)))


def test_a_device_that_went_away_ends_the_session(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    device = parse_device(f"onnxruntime@agent:http://127.0.0.1:{port},patience=0")
    with pytest.raises(MachineError, match=r"unavailable for 0 s.*refused"):
        device.facts  # noqa: B018


@pytest.mark.parametrize(
    "address",
    ["", "board", "https://board", "https://board:many", "ftp://board:1", "https://me@board:1", "https://b:1/x"],
)
def test_an_address_is_that_of_an_agent(address):
    with pytest.raises(DeviceError, match="https://host:port"):
        AgentTransport(address)


def test_another_machine_is_reached_encrypted_alone():
    with pytest.raises(DeviceError, match="by https://"):
        AgentTransport("http://192.168.1.7:8765")
    assert AgentTransport("http://localhost:8765").machine == "agent:localhost:8765"


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificate")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-keyout", "key.pem", "-out", "certificate.pem", "-subj", "/CN=agent",
         "-addext", "subjectAltName=IP:127.0.0.1"],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip
    return folder


def test_an_agent_proves_itself_by_its_certificate(certificate, tmp_path):
    pem = str(certificate / "certificate.pem")
    running = Running(tmp_path, "--certificate", pem, "--key", str(certificate / "key.pem"))
    try:
        assert running.url.startswith("https://")
        assert parse_device(f"onnxruntime@agent:{running.url},certificate={pem}").facts["cpu"]
        with pytest.raises(DeviceError, match="certificate=FILE"):
            parse_device(f"onnxruntime@agent:{running.url}").facts  # noqa: B018
        for _ in range(40):  # more than are served at once; none shakes hands
            socket.create_connection(("127.0.0.1", running.port)).close()
        assert parse_device(f"onnxruntime@agent:{running.url},certificate={pem},timeout=50").facts["cpu"]
    finally:
        assert running.stop() == 0


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"token": ""}, "16 printable"),
        ({"token": "short"}, "16 printable"),
        ({"token": "with spaces in it, and long"}, "16 printable"),
        ({"host": "0.0.0.0"}, "has a certificate"),
        ({"host": "board.example"}, "has a certificate"),
        ({"port": 70000}, "port < 65536"),
        ({"largest_mb": 0}, "largest_mb"),
        ({"limit": float("nan")}, "limit"),
    ],
)
def test_options_that_would_be_unsafe_are_refused(tmp_path, changes, said):
    with pytest.raises(UsageError, match=said):
        AgentOptions(**{"token": TOKEN, "folder": tmp_path, **changes})


def test_a_port_that_is_taken_or_a_certificate_that_is_none_is_said(agent, tmp_path):
    with pytest.raises(UsageError, match=r"but cannot: .*in use"):
        Agent(AgentOptions(TOKEN, tmp_path, port=agent.port), lambda message: message)
    (tmp_path / "a.pem").write_text("no certificate")
    with pytest.raises(UsageError, match="PEM files"):
        Agent(AgentOptions(TOKEN, tmp_path, port=0, certificate=tmp_path / "a.pem"), lambda message: message)
    with pytest.raises(ssl.SSLError):
        ssl.create_default_context(cafile=tmp_path / "a.pem")
    with pytest.raises(DeviceError, match="a token and a certificate"):
        parse_device(f"onnxruntime@agent:{agent.url},certificate={tmp_path / 'a.pem'}").facts  # noqa: B018


# Hostile requests

NAMES = [
    "../../../etc/passwd",
    "/etc/passwd",
    f"{'0' * 64}.onnx",
    f"{'0' * 64}.onnx/../../x",
    "a" * 10_000,
    "\0",
    "C:\\x",
]


def hostile(rng):
    """A body, its headers, path and method."""
    valid = to_bytes(Message({"ask": rng.choice(["has", "put", "run", "measure", "identify", "hello"])}))
    bodies = [
        lambda: rng.randbytes(rng.randrange(400)),
        lambda: valid[: rng.randrange(len(valid))],
        lambda: bytes(byte ^ (rng.random() < 0.05) << rng.randrange(8) for byte in valid),
        lambda: b"paretonas-1 " + rng.choice([b"-1", b"99999999999", b"1e3", b"\xff", b"3"]) + b"\n{}",
        lambda: to_bytes(
            Message({"ask": rng.choice(["has", "put", "run"]), "file": rng.choice(NAMES)}, body=b"x" * 50)
        ),
        lambda: to_bytes(Message({"ask": "identify", "engine": rng.choice(["os", "../os", "", None, 3, "torch"])})),
        lambda: to_bytes(
            Message({"ask": "run", "engine": "onnxruntime", "options": {"threads": rng.choice([-1, 10**9])}})
        ),
        lambda: to_bytes(Message({"ask": "measure", "protocol": {"pairs": 10**9, "__class__": 1}, "clock": "thread"})),
        lambda: to_bytes(Message({"ask": "pickle", "data": "cos\nsystem\n(S'touch /tmp/x'\ntR."})),
    ]
    headers = rng.choice(
        [{}, {}, {}, {"Authorization": "Bearer "}, {"Authorization": "Basic eDp5"}, {"Authorization": "Bearer \xe9"},
         {"X" * 1000: "y" * 1000}, {"Content-Length": rng.choice(["-5", "1e3", "99999999999999", "\u00b2"])},
         {"Transfer-Encoding": "chunked"}, {"Expect": "100-continue"}]
    )  # fmt: skip
    path = rng.choice(["/", "/", "/", "/../../etc/passwd", "//x", "/?a=b", "http://elsewhere/"])
    return (
        rng.choice(bodies)(),
        headers,
        path,
        rng.choice(["POST", "POST", "POST", "GET", "PUT", "DELETE", "CONNECT", "X" * 90]),
    )


def send(port, data):
    """Raw bytes, and whatever comes back within a moment."""
    with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
        found = b""
        with suppress(OSError):  # it need not listen to the end
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            while part := connection.recv(1 << 16):
                found += part
        return found


def test_a_thousand_hostile_requests_leave_it_as_it_was(agent):
    rng = random.Random(0)
    around = {path for path in agent.folder.parent.rglob("*") if agent.folder not in path.parents}
    before = {path for path in agent.folder.rglob("*")}
    for i in range(1000):
        body, headers, path, method = hostile(rng)
        if i % 4:
            lines = [f"{method} {path} HTTP/1.1", f"Authorization: Bearer {TOKEN}" if rng.random() < 0.8 else "A: b"]
            lines += [f"{name}: {value}" for name, value in headers.items()]
            lines += [f"Content-Length: {len(body)}"] if "Content-Length" not in headers else []
            data = "\r\n".join(lines).encode("utf-8", "replace") + b"\r\n\r\n" + body
            answer = send(agent.port, data)
        else:
            answer = send(agent.port, rng.randbytes(rng.randrange(1, 300)))
        assert b"root:" not in answer
        if answer.startswith(b"HTTP/1.1 200"):
            assert b"error" in answer or b"protocol" in answer or b'"has": false' in answer
    assert agent.is_alive()
    status, body = post(agent.port, to_bytes(Message({"ask": "hello"})))
    assert status == 200
    assert b"protocol" in body
    assert {path for path in agent.folder.rglob("*")} == before
    assert {path for path in agent.folder.parent.rglob("*") if agent.folder not in path.parents} == around


@pytest.mark.parametrize(
    ("body", "headers", "path", "status"),
    [
        (b"", {"Authorization": ""}, "/", 401),
        (b"x", {}, "/", 400),
        (to_bytes(Message({"ask": "hello"})), {}, "/files", 404),
        (b"", {"Content-Length": str(600 << 20)}, "/", 413),
    ],
)
def test_what_is_refused_has_its_status(agent, body, headers, path, status):
    assert post(agent.port, body, headers, path)[0] == status


def test_a_model_that_ends_its_process_costs_one_answer(agent):
    (pid,) = (int(p) for p in os.listdir("/proc") if p.isdigit() and is_worker(p, agent))
    os.kill(pid, signal.SIGKILL)
    answer = read_message(__import__("io").BytesIO(post(agent.port, to_bytes(Message({"ask": "hello"})))[1]))
    assert answer.head in ({"protocol": 1}, {"error": "MeasureError", "text": "The engine crashed (signal SIGKILL)."})
    assert post(agent.port, to_bytes(Message({"ask": "hello"})))[0] == 200


def is_worker(pid, agent):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read().split(b"\0")
        cwd = os.readlink(f"/proc/{pid}/cwd")
    except OSError:
        return False
    return b"work" in words and cwd == str(agent.folder.parent)
