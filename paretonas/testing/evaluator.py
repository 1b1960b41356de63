"""What every evaluator must do, as a suite of tests to subclass with fixtures."""

from __future__ import annotations

import math
import pickle
import re
from typing import get_args

from paretonas.evaluation.evaluator import INLINE, Evaluator, Evidence, Stage
from paretonas.objective import metric
from paretonas.objective.metric import Known
from paretonas.space import Spec


def walk(stage: Stage, spec: Spec) -> Evidence:
    """Run a stage's call here, and keep what comes of it."""
    call = stage.call(spec)
    return stage.keep(spec, call.function(*call.arguments))


class EvaluatorContract:
    """Tests of an evaluator that is prepared and was asked for nothing yet, with a spec that it can evaluate.

    ```python
    class TestMyEvaluator(EvaluatorContract):
        @pytest.fixture
        def evaluator(self):
            evaluator = MyEvaluator()
            evaluator.prepare(SILENT)
            return evaluator

        @pytest.fixture
        def spec(self):
            return MySpec(3)
    ```
    """

    def test_stages_have_names_of_their_own_and_lanes(self, evaluator: Evaluator) -> None:
        stages = evaluator.stages()
        names = [stage.name for stage in stages]
        assert names == [stage.name for stage in evaluator.stages()]
        assert len(set(names)) == len(names) > 0
        assert all(re.fullmatch(r"inline|workers|device:[A-Za-z0-9_-]*", stage.lane) for stage in stages)

    def test_stages_give_declared_metrics_and_the_quality_last(self, evaluator: Evaluator) -> None:
        stages = evaluator.stages()
        for stage in stages:
            assert stage.gives
            for name in stage.gives:
                assert metric(name).name == name
        assert evaluator.quality in stages[-1].gives
        assert metric(evaluator.quality).known == "training"

    def test_what_is_known_earlier_comes_first(self, evaluator: Evaluator) -> None:
        when = [max(get_args(Known).index(metric(name).known) for name in s.gives) for s in evaluator.stages()]
        assert when == sorted(when)

    def test_shares_of_a_training_rise_to_the_whole(self, evaluator: Evaluator) -> None:
        shares = [stage.share for stage in evaluator.stages() if stage.share is not None]
        assert shares == sorted(set(shares))
        assert not shares or shares[-1] == 1.0

    def test_calls_pickle_unless_they_are_made_inline(self, evaluator: Evaluator, spec: Spec) -> None:
        for stage in evaluator.stages():
            if stage.lane != INLINE:
                call = stage.call(spec)
                copy = pickle.loads(pickle.dumps(call))
                assert copy.function is call.function
                assert len(copy.arguments) == len(call.arguments)

    def test_what_was_paid_for_is_known(self, evaluator: Evaluator, spec: Spec) -> None:
        for stage in evaluator.stages():
            assert stage.known(spec) is None
            evidence = walk(stage, spec)
            assert set(stage.gives) <= evidence.metrics.keys()
            for name, value in evidence.metrics.items():
                assert metric(name).name == name
                assert isinstance(value, float)
                assert math.isfinite(value)
            known = stage.known(spec)
            assert known == (None if evidence.id is None else evidence)
        for stage in evaluator.stages():
            is_dear = any(metric(name).known in ("device", "training") for name in stage.gives)
            assert stage.lane == INLINE or not is_dear or stage.known(spec) is not None
        evaluator.forget(spec)
        for stage in evaluator.stages():
            is_dear = any(metric(name).known in ("device", "training") for name in stage.gives)
            assert stage.lane == INLINE or not is_dear or stage.known(spec) is not None

    def test_forgetting_what_there_never_was_is_no_problem(self, evaluator: Evaluator, spec: Spec) -> None:
        evaluator.forget(spec)
        evaluator.forget(spec)

    def test_it_says_what_it_evaluates_on(self, evaluator: Evaluator) -> None:
        about = evaluator.about()
        assert about == evaluator.about()
        assert about.digest
        assert all(isinstance(line, str) and line for line in about.lines)
        assert about.measured_on.count("\n") == 0

    def test_nothing_is_estimated_as_less_than_nothing(self, evaluator: Evaluator) -> None:
        seconds = evaluator.seconds_a_trial()
        assert seconds is None or seconds >= 0
