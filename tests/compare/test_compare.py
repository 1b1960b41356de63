"""Strategies on a table: runs, figures, and the command."""

import itertools
import json
import math
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from paretonas import cli
from paretonas.compare import Contest, Run, best_so_far, compare, hypervolume_share, repeated_share, run, summary
from paretonas.errors import DataError, UnknownNameError, UsageError
from paretonas.evaluation.table import TabularTask
from paretonas.executor import executors


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """Three ternary decisions; accuracy and latency both rise with their sum, a little apart."""
    rows = list(itertools.product(range(3), repeat=3))
    path = tmp_path_factory.mktemp("table") / "toy.parquet"
    columns = {
        "ops": [list(row) for row in rows],
        "valid": [50.0 + 5 * sum(row) + row[0] for row in rows],
        "test": [40.0 + 5 * sum(row) + row[2] for row in rows],
        "ms": [1.0 + sum(row) - 0.1 * row[1] for row in rows],
        "gaps": [None if row == (2, 2, 2) else 0.5 for row in rows],
        "flops": [1000 * (1 + sum(row)) for row in rows],
    }
    pq.write_table(pa.table(columns), path)
    return path


def test_task_gives_fractions_and_costs(file):
    contest = Contest(file, "valid", latency="ms")
    task = TabularTask(contest.table, "valid", "ms")
    found = task.metrics(contest.table.space().architecture((1, 0, 2)))
    assert found == {"accuracy": 0.66, "latency_ms": 4.0, "macs": 4000.0}


def test_best_so_far_is_the_judges_value_of_the_best_by_the_metric(file):
    contest = Contest(file, "valid", "test", trials=4)
    rows = contest.table.rows
    seen = Run("random", 0, (rows[0, 0, 2], rows[2, 0, 0], rows[0, 0, 1]), (0.1,))
    found = best_so_far(contest, [seen])
    # by valid 60 and 62; by test 52 and 50: the second is preferred although the judge likes it less
    assert found.tolist() == [[52.0, 50.0, 50.0, 50.0]]


def test_gaps_are_failed_trials_and_no_values(file):
    contest = Contest(file, "gaps", trials=2)
    row = contest.table.rows[2, 2, 2]
    assert math.isnan(best_so_far(contest, [Run("random", 0, (row,), (0.1,))])[0, 0])
    found = run(Contest(file, "gaps", trials=27), "enumeration", 0)
    assert set(found.rows) == set(range(27))


def test_hypervolume_share_is_of_the_whole_front(file):
    contest = Contest(file, "valid", latency="ms", trials=27)
    everything = run(contest, "enumeration", 0)
    share = hypervolume_share(contest, [everything])[0]
    assert (np.diff(share) >= 0).all()
    assert share[-1] == pytest.approx(1.0)
    with pytest.raises(UsageError, match="name the latency's column"):
        hypervolume_share(Contest(file, "valid"), [everything])


def test_repeated_share_counts_rows_seen_before():
    assert repeated_share(Run("random", 0, (1, 2, 1, 1), ())) == 0.5


def test_reward_is_what_was_asked_for(file):
    assert Contest(file, "valid").objective().target_ms is None
    assert Contest(file, "valid", latency="ms", reward="accuracy").objective().target_ms is None
    soft, hard = (Contest(file, "valid", latency="ms", reward=r).objective() for r in ("soft", "hard"))
    assert soft.target_ms == hard.target_ms == pytest.approx(3.9)  # the median
    assert (soft.beta, hard.beta) == (-0.07, -1.0)
    assert Contest(file, "valid", latency="ms", target_ms=2.0).objective().target_ms == 2.0


def test_runs_repeat_and_seeds_differ(file):
    contest = Contest(file, "valid", trials=12)
    assert run(contest, "surrogate:initial=4", 3).rows == run(contest, "surrogate:initial=4", 3).rows
    assert run(contest, "random", 0).rows != run(contest, "random", 1).rows


def test_all_strategies_run_with_all_seeds_and_are_summarized(file):
    contest = Contest(file, "valid", "test", "ms", trials=15)
    done = []
    with executors.create("serial").start() as executor:
        runs = compare(contest, ["random", "nsga2:population=4"], 3, executor, lambda *at: done.append(at))
    assert done[-1] == (6, 6)
    found = json.loads(json.dumps(summary(contest, runs)))
    assert list(found["strategies"]) == ["random", "nsga2:population=4"]
    one = found["strategies"]["random"]
    values = best_so_far(contest, runs[:3])
    assert one["mean"] == pytest.approx(values.mean(0).tolist())
    assert one["median"] == pytest.approx(np.median(values, 0).tolist())
    assert one["quartiles"][1] == pytest.approx(np.quantile(values, 0.75, axis=0).tolist())
    assert one["regret"][-1] == pytest.approx(72.0 - values.mean(0)[-1])
    assert [len(one["hypervolume"][key]) for key in ("mean", "median", "standard_error")] == [15] * 3


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"trials": 0}, UsageError, "trials, batch >= 1"),
        ({"reward": "kind", "latency": "ms"}, UsageError, "soft, hard, accuracy"),
        ({"target_ms": 3.0}, UsageError, "are about latency"),
        ({"metric": "absent"}, DataError, "not 'absent'"),
        ({"latency": "absent"}, DataError, "not 'absent'"),
    ],
)
def test_contests_that_cannot_be_are_refused(file, change, error, message):
    with executors.create("serial").start() as executor, pytest.raises(error, match=message):
        compare(Contest(**{"file": file, "metric": "valid", **change}), ["random"], 1, executor)


def test_strategies_are_checked_before_anything_runs(file):
    with executors.create("serial").start() as executor:
        for names, error in ((["random", "random"], UsageError), ([], UsageError), (["randon"], UnknownNameError)):
            with pytest.raises(error):
                compare(Contest(file, "valid"), names, 1, executor)


@pytest.fixture
def command(monkeypatch, capsys):
    def run(*words):
        monkeypatch.setattr(sys, "argv", ["paretonas", "compare", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        captured = capsys.readouterr()
        return end.value.code or 0, captured.out, captured.err

    return run


def test_command_prints_a_table_and_draws_a_figure(file, command, tmp_path):
    code, out, err = command(
        "--table", file, "--metric", "valid", "--judge", "test", "--latency", "ms", "--trials", "12", "--seeds", "2",
        "--strategies", "random,nsga2:population=4,crossover=0.5", "--plot", tmp_path / "found.svg",
        "--executor", "serial",
    )  # fmt: skip
    assert code == 0, err
    assert "nsga2:population=4,crossover=0.5" in out
    assert "Share of the front's hypervolume" in out
    assert "nsga2" in (tmp_path / "found.svg").read_text()


def test_command_prints_json_from_workers(file, command):
    code, out, _ = command("--table", file, "--metric", "valid", "--trials", "5", "--seeds", "2", "--json")
    assert code == 0
    assert set(json.loads(out)["strategies"]) == {"random", "regularized-evolution", "surrogate"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--strategies", "batch=3,random"], "behind its strategy"),
        (["--plot", "figure.gif"], "written as .png"),
        (["--metric", "absent"], "has the columns"),
        (["--decisions", "absent"], "not 'absent'"),
    ],
)
def test_command_refuses_what_cannot_be(file, command, words, message):
    code, _, err = command("--table", file, "--metric", "valid", "--executor", "serial", *words)
    assert code == 2
    assert message in " ".join(err.split())
