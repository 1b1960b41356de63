"""What a morph made of the widths, in words and in rows."""

from __future__ import annotations

import pytest

from paretonas.errors import StoreError
from paretonas.report.widths import Width, before_and_after, curve_chart, steps_of
from paretonas.space import Architecture
from paretonas.trial import State, Trial

TOLD = {
    "step": 1, "groups": ["stem.0", "blocks.1.0.body.0"], "before": [16, 48], "alive": [7, 0], "widths": [9, 0],
    "multiplier": 1.3, "strength": 5.5, "curve": [],
}  # fmt: skip


def trial(number: int, told: object = None, accuracy: float = 0.5) -> Trial:
    metrics = {"accuracy": accuracy, "latency_ms": 2.0, "macs": 3e6, "params": 1e5, "latency_spread": 0.1}
    context = {} if told is None else {"morph": told}
    return Trial(number, Architecture("widths", (number,)), f"{number:016x}", State.COMPLETE, metrics, context=context)


def test_a_step_has_its_widths():
    (step,) = steps_of([trial(0), trial(1, TOLD)])
    assert (step.trial, step.strength, step.multiplier, step.widest) == (1, 5.5, 1.3, 48)
    assert step.widths[0] == Width("stem.0", 16, 7, 9)
    assert step.removed == ("blocks.1.0.body.0",)


def test_before_and_after_stand_side_by_side():
    before, after = before_and_after([trial(1, TOLD, 0.6), trial(0)], "accuracy")
    assert before == "before (trial 0): accuracy 50.00 %, latency 2 ms, MACs 3.0 M, params 100.0 k"
    assert after.startswith("after step 1 (trial 1): accuracy 60.00 %")
    assert after.endswith("without blocks.1.0.body.0")


def test_the_course_of_a_step_is_drawn():
    curve = [[0, 5.0, 200.0, 9.0], [50, 8.0, 150.0, 7.0], [99, 6.0, 110.0, 5.0]]
    (step,) = steps_of([trial(1, {**TOLD, "curve": curve})])
    spec = curve_chart(step).to_dict()
    assert [row["share"] for row in spec["data"]["values"]] == [1.0, 0.75, 0.55]
    assert curve_chart(steps_of([trial(1, TOLD)])[0]) is None


def test_other_searches_have_no_steps():
    assert before_and_after([trial(0), trial(1)], "accuracy") == []


@pytest.mark.parametrize(
    "wrong",
    [
        "many",
        {},
        {**TOLD, "alive": [1]},
        {**TOLD, "widths": ["wide", 1]},
        {**TOLD, "groups": []},
        {**TOLD, "strength": {}},
    ],
)
def test_a_damaged_step_is_refused(wrong):
    with pytest.raises(StoreError, match="which widths it found"):
        steps_of([trial(1, wrong)])
