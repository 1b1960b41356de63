import time

from paretonas.evaluation.evaluator import WORKERS, Call, Stage
from paretonas.executor import executors
from paretonas.loop.plan import HERE, Lane
from paretonas.loop.turns import PATIENCE, Turns
from paretonas.space import Architecture
from paretonas.trial import Trial


def test_lanes_of_two_machines_are_waited_for_until_something_ends():
    """However long that takes: a search that sees nothing end is over."""
    lanes = {"device:pi": "pi", WORKERS: HERE}
    stages = tuple(Stage(name, name, (name,), None, None, None) for name in lanes)
    with executors.create("process:workers=1").start() as one, executors.create("process:workers=1").start() as other:
        turns = Turns(
            stages, {name: Lane(executor, lanes[name]) for name, executor in zip(lanes, (one, other), strict=True)}
        )
        for number, stage in enumerate(stages):
            trial = Trial(number, Architecture("toy", (number,)), str(number))
            turns.begin(trial, stage, Call(time.sleep, (8 * PATIENCE * (number + 1),)), None)
        ended = [trial.number for _ in range(2) for trial, *_ in turns.ended()]
        assert ended == [0, 1]
        assert list(turns.ended()) == []
