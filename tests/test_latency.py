"""Latencies as they are stored: measured ones and estimates are different types."""

import json
import math
from dataclasses import asdict

import pytest

from paretonas.errors import MeasureError, StoreError
from paretonas.latency import Estimate, Latency, estimate_from_json, latency_from_json

ESTIMATE = Estimate(2.0, 1.8, 2.3)
LATENCY = Latency((0.002,) * 4, (0.002,) * 4, (0.001,) * 4, (0.001,) * 4, calibrated=0.003)


def test_estimate_is_read_as_it_was_written():
    assert estimate_from_json(json.loads(json.dumps(asdict(ESTIMATE)))) == ESTIMATE
    assert ESTIMATE.spread == pytest.approx(0.125)


@pytest.mark.parametrize(
    "numbers",
    [(2.0, 2.1, 2.3), (2.0, 1.8, 1.9), (0.0, 0.0, 1.0), (2.0, -1.0, 3.0), (2.0, 1.0, math.inf), (math.nan, 1.0, 3.0)],
)
def test_estimate_lies_in_its_interval(numbers):
    with pytest.raises(MeasureError, match="0 < low_ms <= latency_ms <= high_ms"):
        Estimate(*numbers)


@pytest.mark.parametrize(
    "data",
    [
        None,
        {},
        {"latency_ms": 2.0, "low_ms": 1.8},
        {"latency_ms": "2", "low_ms": 1.8, "high_ms": 2.3},
        {"latency_ms": 2.0, "low_ms": 2.1, "high_ms": 2.3},
        {"latency_ms": 2.0, "low_ms": 1.8, "high_ms": 2.3, "flags": []},
        asdict(LATENCY),
    ],
)
def test_damaged_estimate_is_a_store_error(data):
    with pytest.raises(StoreError, match="A stored estimate holds milliseconds"):
        estimate_from_json(data)


def test_neither_is_read_as_the_other():
    with pytest.raises(StoreError, match="A stored latency holds its raw samples"):
        latency_from_json(asdict(ESTIMATE))
    assert latency_from_json(json.loads(json.dumps(asdict(LATENCY)))) == LATENCY
