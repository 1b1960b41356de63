"""A device behind a real sshd, which is started here with keys of its own."""

import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import venv
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from paretonas.device import parse_device
from paretonas.device.timing import Protocol
from paretonas.device.transport import ssh
from paretonas.device.transport.ssh import SshTransport
from paretonas.errors import DeviceError, MachineError, MeasureError
from paretonas.network import build
from paretonas.space import Interface
from paretonas.zoo import zoo_spec

SSHD = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")
needs_sshd = pytest.mark.skipif(
    SSHD is None or shutil.which("ssh-keygen") is None, reason="needs OpenSSH's server: apt install openssh-server"
)
SERVER = """
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host
AuthorizedKeysFile {folder}/user.pub
PidFile {folder}/pid
StrictModes no
UsePAM no
PasswordAuthentication no
PrintMotd no
"""
CLIENT = """
Host {name}
  HostName 127.0.0.1
  Port {port}
  User {user}
  IdentityFile {folder}/{key}
  IdentitiesOnly yes
  UserKnownHostsFile {folder}/known
  StrictHostKeyChecking accept-new
  LogLevel ERROR
"""


class Server:
    """An sshd on this machine."""

    def __init__(self, folder):
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        for key in ("host", "user", "stranger"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / key], check=True)
        (folder / "server").write_text(SERVER.format(folder=folder, port=self.port))
        who = {"folder": folder, "port": self.port, "user": getpass.getuser()}
        named = [CLIENT.format(name=name, key=key, **who) for name, key in (("board", "user"), ("locked", "stranger"))]
        (folder / "client").write_text("".join(named))
        self.start()

    def start(self):
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen([SSHD, "-D", "-e", "-f", self.folder / "server"], stderr=log)
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.02)
        raise AssertionError((self.folder / "log").read_text())

    def cut(self):
        """End the server and all of its connections."""
        children = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(self._process.pid)], capture_output=True, text=True
        )
        for pid in [*children.stdout.split(), self._process.pid]:
            os.kill(int(pid), signal.SIGKILL)
        self._process.wait()

    def device(self, host="board", **options):
        given = {
            "config": self.folder / "client",
            "python": sys.executable,
            "folder": self.folder / "device",
            **options,
        }
        return parse_device(f"onnxruntime@ssh:{host}," + ",".join(f"{k}={v}" for k, v in given.items()))


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    running = Server(tmp_path_factory.mktemp("ssh"))
    yield running
    ssh._remote.cache_clear()
    running.cut()


@pytest.fixture
def exported(tmp_path):
    spec, interface = zoo_spec("mobilenet-v2", 0.25, 32), Interface.of_images(3, 32, 10)
    torch.manual_seed(0)
    model = build(spec, interface)
    return model, parse_device("onnxruntime").export(model, spec, interface, tmp_path / "candidate")


@needs_sshd
def test_a_network_is_checked_and_timed_behind_ssh(server, exported, tmp_path):
    device = server.device()
    assert device.facts["version"] == parse_device("onnxruntime").facts["version"]
    assert device.identity["transport"] == "ssh:board"
    assert device.verify(*exported) < 1e-4
    latency = device.measure(exported[1], tmp_path, None, Protocol(pairs=4, loads=2, attempts=1))
    assert 0.05 < latency.ratio < 20
    kept = {path.suffix for path in (server.folder / "device").rglob("*") if path.is_file()}
    assert kept == {".pyz", ".onnx"}


@needs_sshd
def test_a_connection_that_is_cut_in_the_middle_is_made_again(server, exported, tmp_path, capsys):
    device = server.device(patience=30)
    assert device.facts["cpu"]

    def disturb():
        time.sleep(0.5)
        server.cut()
        time.sleep(0.3)
        server.start()

    other = threading.Thread(target=disturb)
    other.start()
    latency = device.measure(exported[1], tmp_path, None, Protocol(pairs=400, shortest=0.002, attempts=1))
    other.join()
    assert len(latency.candidate_wall) == 400
    assert "ssh:board is gone" in capsys.readouterr().err


@needs_sshd
def test_a_device_that_stays_away_ends_the_session(server):
    device = server.device(patience=0, timeout=99)
    assert device.transport.identify(device.runtime)["cpu"]
    server.cut()
    try:
        with pytest.raises(MachineError, match="ssh:board is unavailable"):
            device.transport.identify(device.runtime)
    finally:
        server.start()


@needs_sshd
@pytest.mark.parametrize(
    ("host", "options", "said"),
    [
        ("locked", {}, "Permission denied"),
        ("nowhere.invalid", {}, "Could not resolve"),
        ("board", {"python": "/no/python3"}, "no/python3"),
        ("board", {"config": "/no/config"}, "no/config"),
        ("board", {"python": "/bin/false"}, None),
    ],
)
def test_what_can_never_be_is_said_at_once(server, host, options, said):
    device = server.device(host, patience=0, **options)
    with pytest.raises(DeviceError if said else MachineError, match=said or "unavailable"):
        device.facts  # noqa: B018


@needs_sshd
def test_a_python_without_numpy_is_said(server, tmp_path):
    venv.create(tmp_path / "bare")
    with pytest.raises(DeviceError, match="No module named 'numpy'"):
        server.device(patience=0, python=tmp_path / "bare/bin/python").facts  # noqa: B018


@needs_sshd
def test_a_disk_that_takes_nothing_ends_the_session(server, exported, tmp_path):
    device = server.device(folder=server.folder / "full", patience=0)
    assert device.facts["cpu"]
    (server.folder / "full" / "files").write_text("where the folder of files would be")
    with pytest.raises(MachineError, match=r"On ssh:board: (Not a directory|File exists)"):
        device.open(exported[1])


@needs_sshd
def test_what_the_device_cannot_run_is_a_measurements_error(server, exported, tmp_path):
    (tmp_path / "a.onnx").write_bytes(b"\x08model")
    from paretonas.export import ModelFile

    with pytest.raises(MeasureError, match="On ssh:board: ONNX Runtime cannot load"):
        server.device().open(ModelFile(tmp_path / "a.onnx", exported[1].interface))


WAITING = """
import sys
from pathlib import Path
from paretonas.device import parse_device
from paretonas.export import ModelFile
from paretonas.space import Interface

device, file = parse_device(sys.argv[1]), ModelFile(Path(sys.argv[2]), Interface.of_images(3, 32, 10))
device.transport.run_as_app(device.runtime, file, 2, 200)
"""


def processes(*words):
    """Those whose command has all of these words."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            command = (folder / "cmdline").read_bytes().decode(errors="replace")
            if all(word in command for word in words):
                found.append(int(folder.name))
    return found


def waited_for(is_so):
    for _ in range(300):
        if is_so():
            return True
        time.sleep(0.1)
    return False


@pytest.mark.slow
@needs_sshd
@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="needs Linux's /proc")
def test_who_is_killed_leaves_nothing_behind_on_either_side(server, exported, tmp_path):
    """Although the far engine is at something long."""
    folder = server.folder / "left"
    device = server.device(folder=folder)
    command = [sys.executable, "-c", WAITING, device.text, str(exported[1].path)]
    with subprocess.Popen(command) as waiting:
        assert waited_for(lambda: processes(str(folder), "\0work\0"))
        assert processes("ssh\0-T", str(folder))
        waiting.kill()
    assert waited_for(lambda: not processes(str(folder)))


@pytest.mark.parametrize("address", ["", "-oProxyCommand=touch x", "two words", "a\nb"])
def test_an_address_is_that_of_a_host(address):
    with pytest.raises(DeviceError, match="ssh:user@host"):
        SshTransport(address)


def test_options_out_of_range_are_refused():
    for options in ({"patience": -1.0}, {"timeout": 0.0}, {"timeout": float("nan")}):
        with pytest.raises(DeviceError, match="must hold"):
            SshTransport("board", **options)


def test_users_and_ports_are_part_of_the_address():
    device = parse_device("pi=onnxruntime:threads=2@ssh:me@board.local,patience=5")
    assert (device.name, device.transport.address, device.transport.patience) == ("pi", "me@board.local", 5.0)
    assert device.transport.machine == "ssh:me@board.local"
