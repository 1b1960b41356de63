import socket
import time

from paretonas.evaluation.evaluator import WORKERS, Call, Stage
from paretonas.executor import executors
from paretonas.loop.plan import HERE, Lane
from paretonas.loop.turns import PATIENCE, Turns
from paretonas.space import Architecture
from paretonas.trial import Trial


def sleep(spec):
    return Call(time.sleep, (8 * PATIENCE * (spec + 1),))


def test_lanes_of_two_machines_are_waited_for_until_something_ends():
    """However long that takes: a search that sees nothing end is over."""
    lanes = {"device:pi": "pi", WORKERS: HERE}
    stages = tuple(Stage(name, name, (name,), None, sleep, None) for name in lanes)
    with executors.create("process:workers=1").start() as one, executors.create("process:workers=1").start() as other:
        turns = Turns(
            stages, {name: Lane(executor, lanes[name]) for name, executor in zip(lanes, (one, other), strict=True)}
        )
        for number, stage in enumerate(stages):
            trial = Trial(number, Architecture("toy", (number,)), str(number))
            turns.begin(trial, stage, number, None)
        ended = [trial.number for _ in range(2) for trial, *_ in turns.ended()]
        assert ended == [0, 1]
        assert list(turns.ended()) == []


def test_what_runs_is_told_with_where_it_runs_and_how_far_it_is():
    stage = Stage("training", WORKERS, ("accuracy",), None, sleep, None, done=lambda spec: 0.25)
    with executors.create("process:workers=1").start() as executor:
        turns = Turns((stage,), {WORKERS: Lane(executor)})
        turns.begin(Trial(7, Architecture("toy", (0,)), "0"), stage, 0, None)
        (work,) = turns.works()
        assert (work.trial, work.stage, work.node, work.share) == (7, "training", socket.gethostname(), 0.25)
        assert 0 <= work.seconds < 60
        assert len(list(turns.ended())) == 1
        assert turns.works() == []
