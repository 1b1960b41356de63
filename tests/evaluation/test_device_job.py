"""What a device's process does: time one network in a real engine."""

import json
import pickle
import subprocess
import sys
from dataclasses import asdict, replace

import pytest
import torch

from paretonas.device.timing import Protocol
from paretonas.errors import ExportError
from paretonas.evaluation.device_job import MeasuringJob, run_measuring
from paretonas.space import Interface, spec_to_json
from paretonas.space.mnasnet import BlockSpec, MnasNetSpec

SPEC = MnasNetSpec((BlockSpec("mbconv", 3, 8, 1, 2, 3),), stem_filters=8, head_filters=16)
INTERFACE = Interface.of_images(1, 8, 10)
FAST = Protocol(pairs=2, loads=1, attempts=1)


@pytest.fixture
def measuring(tmp_path):
    def measuring(device="onnxruntime", spec=SPEC, interface=INTERFACE):
        return MeasuringJob(spec_to_json(spec), interface, device, tmp_path / "cache", 1e-3, FAST)

    return measuring


@pytest.mark.parametrize("device", ["onnxruntime", "phone=onnxruntime:threads=2", "torch"])
def test_a_network_is_exported_checked_and_timed(measuring, tmp_path, device):
    state = torch.get_rng_state()
    latency = run_measuring(pickle.loads(pickle.dumps(measuring(device))))
    assert torch.equal(torch.get_rng_state(), state)
    assert len(latency.candidate_wall) == len(latency.reference_cpu) == 2
    assert latency.calibrated == 1e-3
    assert latency.latency_ms > 0
    assert latency.conditions["device"] == device.rpartition("phone=")[2]
    assert [path.stem for path in (tmp_path / "cache").iterdir()] == ["reference-1x8x8"]
    json.dumps(asdict(latency))


def test_a_network_that_does_not_fit_its_interface_is_an_export_error(measuring):
    two = replace(INTERFACE, outputs=(*INTERFACE.outputs, replace(INTERFACE.outputs[0], name="more")))
    with pytest.raises(ExportError):
        run_measuring(measuring(interface=two))


def test_what_times_loads_nothing_that_trains():
    code = "import paretonas.evaluation.measure, sys; print([m for m in ('timm', 'torchvision') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
