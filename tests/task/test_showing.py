import numpy as np
import pytest

from paretonas.errors import TrainingError
from paretonas.space import Interface
from paretonas.space.interface import Port
from paretonas.task.showing import examples_of

FED = Interface((Port("x", (1, 3)), Port("state", (1, 2))), (Port("y", (1, 3)), Port("next", (1, 2))))


class Counting:
    """Feeds four batches of two, the state of the last with all but the first."""

    def __init__(self, batches=4):
        self.batches, self.fed = batches, 0

    def score(self, run, part):
        assert part == "train"
        state = ()
        for i in range(self.batches):
            self.fed += 1
            _, *state = run((np.full((2, 3), i, np.float32), *state))
        return {"accuracy": 1.0}


def run(inputs):
    x, *state = inputs
    return x, (state[0] if state else np.zeros((2, 2), np.float32)) + 1


def test_examples_are_the_first_and_states_come_about():
    task = Counting()
    first, second = examples_of(task, run, FED, 3)
    assert task.fed == 3  # the batch that was one too many was not run
    np.testing.assert_array_equal(first[0], np.zeros((2, 3)))
    np.testing.assert_array_equal(first[1], np.zeros((2, 2)))  # a state that begins
    np.testing.assert_array_equal(second[0], np.ones((2, 3)))
    np.testing.assert_array_equal(second[1], np.ones((2, 2)))


def test_all_there_is_is_taken_where_there_is_no_more():
    assert len(examples_of(Counting(), run, FED, 100)) == 4


def test_a_score_that_feeds_nothing_is_an_error():
    with pytest.raises(TrainingError, match="that of Counting fed nothing"):
        examples_of(Counting(0), run, FED, 1)
