"""How a job is called, and what becomes of what it printed."""

import operator
import pickle
import sys
from contextlib import suppress

import pytest

from paretonas.executor.sending import call

NEGATION = pickle.dumps((operator.neg, (1,)))


@pytest.fixture(params=["none", "closed", "full"])
def stdout(request, tmp_path):
    """Standard output that takes nothing of what a job printed."""
    if request.param == "none":
        yield None
        return
    file = open("/dev/full" if request.param == "full" else tmp_path / "printed", "w")  # noqa: SIM115
    file.write("words of a job")
    if request.param == "closed":
        file.close()
    yield file
    with suppress(OSError):
        file.close()


def test_a_job_succeeds_whatever_becomes_of_what_it_printed(monkeypatch, stdout):
    monkeypatch.setattr(sys, "stdout", stdout)
    assert call(NEGATION) == -1
