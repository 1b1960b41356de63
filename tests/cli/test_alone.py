"""Work in a process of its own: its result and its errors come back, its end is nobody else's."""

import os
import time

import pytest

from paretonas.cli.alone import alone
from paretonas.errors import CrashError, DeviceError, WorkerError


def test_result_and_errors_come_back():
    assert alone(sorted, [2, 1]) == [1, 2]
    with pytest.raises(DeviceError, match="written"):
        alone(_parse, "onnxruntime@")


def _parse(text):
    raise DeviceError(f"A device is written otherwise than {text}.")


def test_what_never_ends_is_ended():
    with pytest.raises(WorkerError, match=r"time limit of 0\.5 s"):
        alone(time.sleep, 1000, seconds=0.5)


def test_a_crash_is_an_error():
    with pytest.raises(CrashError, match="SIGABRT"):
        alone(os.abort)
