import operator
import pickle

import pytest

from paretonas.errors import MissingPackageError, WorkerError
from paretonas.executor import Failure, Outcome, attempt
from paretonas.testing.executor import fail


def test_attempt_returns_the_value():
    outcome = attempt(operator.add, 1, 2)
    assert (outcome.value, outcome.failure) == (3, None)


def test_attempt_lets_keyboard_interrupt_pass():
    with pytest.raises(KeyboardInterrupt):
        attempt(fail, KeyboardInterrupt)


def test_failure_survives_pickling_with_attributes_and_notes():
    error = MissingPackageError("ray", "the executor 'ray'")
    error.add_note("a note")
    error.trial = 7
    failure = pickle.loads(pickle.dumps(Failure.of(error)))
    for _ in range(2):  # raising it does not change it
        copy = failure.error()
        assert type(copy) is MissingPackageError
        assert str(copy) == str(error)
        assert copy.trial == 7
        assert copy.__notes__ == ["a note", f"Where the job ran:\n{failure.traceback}"]


def test_failure_of_a_chained_error_shows_the_cause():
    try:
        try:
            fail(KeyError, "cause")
        except KeyError as cause:
            raise RuntimeError("effect") from cause
    except RuntimeError as error:
        failure = Failure.of(error)
    assert failure.kind is WorkerError
    assert failure.args == ("RuntimeError: effect",)
    assert "KeyError: 'cause'" in failure.traceback


def test_outcome_failed_without_traceback_has_no_note():
    failure = Outcome.failed("it died").failure
    assert str(failure.error()) == "it died"
    assert not hasattr(failure.error(), "__notes__")
