"""The transport over the real adb and the real daemon of phones, which `build_adbd.sh` builds for this machine.

Both run in a network of their own: the daemon listens on all interfaces, and the machine's own adb is left alone.
"""

import os
import shutil
import signal
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from native_runner import compiled, onnxruntime_library

from paretonas.device import parse_device
from paretonas.device.timing import Protocol
from paretonas.errors import MachineError, MeasureError
from paretonas.export import example_inputs
from paretonas.network import build
from paretonas.space import Interface
from paretonas.zoo import zoo_spec

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
SERIAL = "127.0.0.1:6655"
NETWORKS = [("mobilenet-v2", 1.0, 96), ("mnasnet-a1", 0.5, 96), ("mnasnet-b1", 1.0, 64)]


class Daemon:
    """Phones' daemon in a network of its own, and the adb that reaches it there."""

    def __init__(self, program, folder):
        self.program, self.folder = program, folder
        # Keeps the network, whatever becomes of the daemon.
        keeper = "ip link set lo up 2>/dev/null || ifconfig lo up; exec sleep 100000"
        rights = [] if os.getuid() == 0 else ["-r"]
        self.keeper = subprocess.Popen(["unshare", *rights, "-n", "sh", "-c", keeper])
        time.sleep(0.5)
        self.within = ["nsenter", "-t", str(self.keeper.pid), "-n"]
        if rights:
            self.within += ["-U", "--preserve-credentials"]
        self.adb = folder / "adb"
        self.adb.write_text(f'#!/bin/sh\nexec {" ".join(self.within)} adb "$@"\n')
        self.adb.chmod(0o755)
        self.start()

    def start(self):
        environment = {**os.environ, "ADBD_PORT": "6655"}
        with (self.folder / "adbd.log").open("ab") as log:
            self.process = subprocess.Popen([*self.within, self.program], env=environment, stdout=log, stderr=log)
        time.sleep(0.5)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def end(self):
        subprocess.run([self.adb, "kill-server"], capture_output=True, timeout=30)
        for process in (self.process, self.keeper):
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("daemon")


@pytest.fixture(scope="module")
def daemon(folder):
    where = os.environ.get("PARETONAS_ADBD")
    if not where or not (Path(where) / "adbd").exists():
        pytest.skip('no adbd: call `sh tests/device/build_adbd.sh "$PARETONAS_ADBD"`')
    missing = [program for program in ("adb", "unshare", "nsenter") if shutil.which(program) is None]
    if missing:
        pytest.skip(f"no {', '.join(missing)} here")
    started = Daemon(Path(where) / "adbd", folder)
    yield started
    started.end()


@pytest.fixture(scope="module")
def runner(folder):
    return compiled(folder)


@pytest.fixture
def device(daemon, runner, folder):
    options = f"runner={runner},library={onnxruntime_library()},adb={daemon.adb},folder={folder / 'there'}"
    return parse_device(f"phone=onnxruntime@adb:{SERIAL},{options}")


def exported(name, width, side, folder):
    spec, interface = zoo_spec(name, width, side), Interface.of_images(3, side, 10)
    model = build(spec, interface).eval()
    return model, parse_device("onnxruntime").export(model, spec, interface, folder / f"{name}-{width}-{side}")


def test_a_phone_measures_as_this_machine_does(device, folder, capsys):
    """Ratios to the reference, taken in turn: what the runner measures is what Python measures."""
    here, protocol = parse_device("onnxruntime"), Protocol(pairs=20, attempts=1)
    for network in NETWORKS:
        model, file = exported(*network, folder)
        assert device.verify(model, file) < 1e-3
        ratios = {"here": [], "adb": []}
        for _ in range(3):
            for name, one in (("here", here), ("adb", device)):
                latency = one.measure(file, folder, 1.0, protocol)
                ratios[name].append(latency.ratio)
                with capsys.disabled():
                    fastest = [min(times) * 1e3 for times in (latency.candidate, latency.reference)]
                    text = f"{network} {name:5}{latency.ratio:7.3f} x reference, fastest {fastest} ms {latency.flags}"
                    sys.stderr.write(f"\n{text}")
        medians = [statistics.median(found) for found in ratios.values()]
        assert medians[0] == pytest.approx(medians[1], rel=0.15)


def test_many_examples_run_in_one_process(device, folder):
    _, file = exported("mnasnet-b1", 1.0, 64, folder)
    examples = [example_inputs(file.interface, seed) for seed in range(100)]
    here = parse_device("onnxruntime").open(file)
    for found, inputs in zip(device.open(file).many(examples), examples, strict=True):
        np.testing.assert_allclose(found[0], here(inputs)[0], rtol=1e-3, atol=1e-5)


def test_facts_are_those_of_this_machine(device):
    facts = device.facts
    assert facts["machine"] == os.uname().machine
    assert set(facts["cores"]) <= os.sched_getaffinity(0)
    assert (facts["phone"], facts["android"], facts["threads"]) == (None, None, 1)


@pytest.mark.parametrize("after", [0.3, 1.0, 3.0])
def test_a_daemon_that_dies_in_the_middle_and_comes_back_loses_nothing(daemon, device, folder, after):
    _, file = exported("mobilenet-v2", 1.0, 96, folder)
    device.measure(file, folder, 1.0, Protocol(pairs=4, attempts=1))

    def restart():
        time.sleep(after)
        daemon.kill()
        time.sleep(0.5)
        daemon.start()

    thread = threading.Thread(target=restart)
    thread.start()
    latency = device.measure(file, folder, 1.0, Protocol(pairs=100, attempts=1))
    thread.join()
    assert len(latency.candidate_cpu) == 100
    assert device.facts["machine"]


def test_a_daemon_that_stays_away_ends_the_session(daemon, device, folder):
    _, file = exported("mobilenet-v2", 1.0, 96, folder)
    device.open(file)(example_inputs(file.interface))
    daemon.kill()
    try:
        with pytest.raises(MachineError, match="then go on"):
            device.open(file)(example_inputs(file.interface))
    finally:
        daemon.start()
    assert device.open(file)(example_inputs(file.interface))[0].shape == (1, 10)


def test_what_the_engine_does_not_take_is_a_measure_error(device, folder):
    _, file = exported("mobilenet-v2", 1.0, 96, folder)
    with pytest.raises(MeasureError, match=r"On the phone: .*invalid dimensions"):
        device.open(file)((np.zeros((1, 3, 31, 32), np.float32),))
