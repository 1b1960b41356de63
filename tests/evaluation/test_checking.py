import math
from dataclasses import replace

import pytest

from paretonas.device import parse_device
from paretonas.device.timing import Samples
from paretonas.evaluation import checking
from paretonas.evaluation.checking import REMEDIES, Check, check_device, told_apart

FACTS = Check({}, 1.0, 0.01, 0.0, 0.05, 1.0, 0.99, {}, 20, {})


def test_pairs_that_are_told_apart_follow_from_how_timings_scatter():
    assert told_apart(0.05, 0.0) == 1.0
    assert told_apart(0.0, 0.1) == 0.5
    assert told_apart(math.e - 1, 1 / math.sqrt(2)) == pytest.approx(0.841345, abs=1e-6)  # one deviation


def test_advice_is_of_the_most_frequent_trouble_first():
    assert FACTS.advice == []
    flagged = replace(FACTS, flags={"slowed": 1, "preempted": 7}, told_apart=0.8)
    assert not flagged.is_fit
    assert flagged.advice == [REMEDIES["preempted"], REMEDIES["slowed"]]
    assert "idle" in replace(FACTS, told_apart=0.8).advice[0]


class Timed:
    """Samples of a device whose candidates take what the list says, in turn; its reference takes a millisecond."""

    def __init__(self, *seconds):
        self.seconds, self.calls = seconds, 0

    def __call__(self, transport, runtime, candidate, reference, protocol):
        is_calibration = candidate.path == reference.path
        taken = 1e-3 if is_calibration else self.seconds[self.calls % len(self.seconds)]
        self.calls += not is_calibration
        pairs = protocol.pairs
        rows = (taken,) * pairs, (taken,) * pairs, (1e-3,) * pairs, (1e-3,) * pairs
        return Samples(*rows, True, protocol.portions), {"throttled": "no"}


def checked(monkeypatch, tmp_path, *seconds, rounds=4):
    device, shown = parse_device("onnxruntime"), []
    timed = Timed(*seconds)
    monkeypatch.setattr(type(device.transport), "measure", lambda *asked: timed(*asked))
    found = check_device(device, tmp_path, lambda done, total: shown.append((done, total)), rounds)
    assert shown == [(done, 2 * rounds) for done in range(2 * rounds + 1)]
    assert not list(tmp_path.iterdir())
    return found


def test_a_quiet_device_is_fit(monkeypatch, tmp_path):
    found = checked(monkeypatch, tmp_path, 1.00e-3, 1.05e-3)
    assert (found.noise, found.gap, found.ordered, found.told_apart) == pytest.approx((0.0, 0.05, 1.0, 1.0), abs=1e-9)
    assert found.reference_ms == pytest.approx(1.0)
    assert found.is_fit
    assert found.flags == {}
    assert found.facts["threads"] == 1


def test_a_noisy_device_is_not(monkeypatch, tmp_path):
    found = checked(monkeypatch, tmp_path, 1.0e-3, 1.0e-3, 1.3e-3, 1.3e-3, rounds=8)
    assert found.noise > 0.1
    assert found.ordered < 0.6
    assert not found.is_fit


def test_heat_is_told(monkeypatch, tmp_path):
    device = parse_device("onnxruntime")
    timed = Timed(1e-3)
    monkeypatch.setattr(type(device.transport), "measure", lambda *a: (timed(*a)[0], {"throttled": "yes"}))
    found = check_device(device, tmp_path, lambda done, total: None, 3)
    assert checking.REMEDIES["throttled"] in found.advice


@pytest.mark.slow
def test_a_real_device_is_checked(tmp_path):
    found = check_device(parse_device("onnxruntime"), tmp_path, lambda done, total: None, 3)
    assert 0 < found.noise < 2
    assert found.reference_ms > 0
