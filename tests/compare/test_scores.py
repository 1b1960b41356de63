import json
import math

import numpy as np
import pytest

from paretonas.compare import Contest, Run, best_so_far, compare, hypervolume_share, repeated_share, run, summary
from paretonas.errors import UsageError
from paretonas.executor import executors
from paretonas.report.comparison import comparison_figure


def test_best_so_far_is_the_judges_value_of_the_best_by_the_metric(file):
    contest = Contest(file, "valid", "test", trials=4)
    rows = contest.table.rows
    seen = Run("random", 0, (rows[0, 0, 2], rows[2, 0, 0], rows[0, 0, 1]), (0.1,))
    found = best_so_far(contest, [seen])
    # by valid 60 and 62; by test 52 and 50: the second is preferred although the judge likes it less
    assert found.tolist() == [[52.0, 50.0, 50.0, 50.0]]


def test_of_a_falling_quality_the_smallest_is_the_best(file):
    contest = Contest(file, "valid", "test", "ms", quality="perplexity", trials=27)
    rows = contest.table.rows
    seen = Run("random", 0, (rows[2, 0, 0], rows[0, 0, 2], rows[0, 0, 0]), (0.1,))
    assert best_so_far(contest, [seen])[0, :3].tolist() == [50.0, 52.0, 40.0]
    found = summary(contest, [seen, run(contest, "nsga2:population=4", 0)])
    assert (found["best"], found["is_rising"]) == (40.0, False)
    assert found["strategies"]["random"]["regret"][:3] == [10.0, 12.0, 0.0]
    assert hypervolume_share(contest, [run(contest, "enumeration", 0)])[0, -1] == pytest.approx(1.0)
    panel = comparison_figure(found).to_dict()["hconcat"][0]
    low, high = panel["layer"][0]["encoding"]["y"]["scale"]["domain"]
    assert low == 40.0 < high


def test_gap_is_no_best_so_far(file):
    contest = Contest(file, "gaps", trials=2)
    row = contest.table.rows[2, 2, 2]
    assert math.isnan(best_so_far(contest, [Run("random", 0, (row,), (0.1,))])[0, 0])


def test_hypervolume_share_is_of_the_whole_front(file):
    contest = Contest(file, "valid", latency="ms", trials=27)
    everything = run(contest, "enumeration", 0)
    share = hypervolume_share(contest, [everything])[0]
    assert (np.diff(share) >= 0).all()
    assert share[-1] == pytest.approx(1.0)
    with pytest.raises(UsageError, match="name the latency's column"):
        hypervolume_share(Contest(file, "valid"), [everything])


def test_under_a_limit_best_and_front_are_those_within(file):
    contest = Contest(file, "valid", "test", "ms", limit_ms=2.0, trials=4)
    found = summary(contest, [run(contest, "enumeration", 0)])  # (0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0)
    assert (found["best"], found["within"], found["limit_ms"]) == (46.0, 4 / 27, 2.0)
    one = found["strategies"]["enumeration"]
    assert one["fewest"] == 4
    assert one["mean"] == [40.0, 46.0, 46.0, 45.0]
    assert one["regret"][-1] == 1.0
    assert one["hypervolume"]["mean"] == [None] * 4  # the better half of them is the slower one
    wider = Contest(file, "valid", "test", "ms", limit_ms=4.0, trials=27)
    assert hypervolume_share(wider, [run(wider, "enumeration", 0)])[0, -1] == pytest.approx(1.0)


def test_repeated_share_counts_rows_seen_before():
    assert repeated_share(Run("random", 0, (1, 2, 1, 1), ())) == 0.5
    assert repeated_share(Run("random", 0, (), ())) == 0.0


def test_runs_are_summarized_at_every_evaluation_count(file):
    contest = Contest(file, "valid", "test", "ms", trials=15)
    with executors.create("serial").start() as executor:
        runs = compare(contest, ["random", "nsga2:population=4"], 3, executor)
    found = json.loads(json.dumps(summary(contest, runs)))
    assert list(found["strategies"]) == ["random", "nsga2:population=4"]
    one = found["strategies"]["random"]
    values = best_so_far(contest, runs[:3])
    assert one["seeds"] == 3
    assert one["mean"] == pytest.approx(values.mean(0).tolist())
    assert one["median"] == pytest.approx(np.median(values, 0).tolist())
    assert one["quartiles"][1] == pytest.approx(np.quantile(values, 0.75, axis=0).tolist())
    assert one["standard_error"] == pytest.approx((values.std(0, ddof=1) / math.sqrt(3)).tolist())
    assert one["regret"][-1] == pytest.approx(72.0 - values.mean(0)[-1])
    assert [len(one["hypervolume"][key]) for key in ("mean", "median", "standard_error")] == [15] * 3
    seconds = [s for each in runs[:3] for s in each.ask_seconds]
    assert one["ask_seconds"] == {"mean": pytest.approx(np.mean(seconds)), "largest": max(seconds)}


@pytest.mark.parametrize(
    ("options", "target"),
    [
        ({}, None),
        ({"latency": "ms"}, 3.9),
        ({"latency": "ms", "target_ms": 2.0}, 2.0),
        ({"latency": "ms", "reward": "power"}, None),
    ],
)
def test_summary_says_what_was_compared(file, options, target):
    contest = Contest(file, "valid", trials=3, batch=2, **options)
    found = summary(contest, [run(contest, "random", 0)])
    assert {key: value for key, value in found.items() if key != "strategies"} == {
        "table": "toy",
        "metric": "valid",
        "judge": "valid",
        "quality": "accuracy",
        "is_rising": True,
        "latency": options.get("latency"),
        "target_ms": target if target is None else pytest.approx(target),
        "limit_ms": None,
        "within": 1.0,
        "trials": 3,
        "batch": 2,
        "best": 82.0,
    }
    assert ("hypervolume" in found["strategies"]["random"]) is ("latency" in options)
    assert found["strategies"]["random"]["standard_error"] == [None] * 3  # of one seed
