import math
import pickle
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from paretonas.compare import Contest, best_so_far, compare, earlier, run
from paretonas.errors import DataError, UnknownNameError, UsageError
from paretonas.executor import executors
from paretonas.loop.listener import SILENT
from paretonas.loop.loop import Loop
from paretonas.objective import Goals
from paretonas.objective.reward import HARD, SOFT, InverseSquare, Power
from paretonas.store import Store
from paretonas.strategy import strategies
from paretonas.trial import State


@pytest.fixture
def contest(file):
    return Contest(file, "valid", latency="ms", trials=12)


# The plan of a run


def test_reward_is_what_was_asked_for(file):
    assert Contest(file, "valid").objective().targets == {}
    of_power = Contest(file, "valid", latency="ms", reward="power").objective()
    assert (of_power.reward, of_power.targets) == (Power(), {})
    soft, hard = (Contest(file, "valid", latency="ms", reward=r).objective() for r in ("soft", "hard"))
    assert soft.targets["latency_ms"] == hard.targets["latency_ms"] == pytest.approx(3.9)  # the median
    assert (soft.reward, hard.reward) == (SOFT, HARD)
    aimed = Contest(file, "valid", latency="ms", target_ms=2.0, reward="mnasnet:beta=-2").objective()
    assert aimed.targets == {"latency_ms": 2.0}
    assert (aimed.reward.alpha, aimed.reward.beta) == (-0.07, -2.0)


def test_quality_has_its_usual_reward(file):
    falling = Contest(file, "valid", latency="ms", quality="perplexity")
    assert falling.objective().reward == InverseSquare()
    assert falling.plan("surrogate", 0).goals.metrics == ("perplexity", "latency_ms")
    with pytest.raises(UsageError, match="a quality that rises"):
        Contest(file, "valid", latency="ms", quality="perplexity", reward="soft")


@pytest.mark.parametrize(
    ("strategy", "with_latency", "without"),
    [
        ("random", ("reward",), ("reward",)),
        ("regularized-evolution", ("reward",), ("reward",)),
        ("surrogate", ("accuracy", "latency_ms"), ("reward",)),
        ("nsga2", ("accuracy", "latency_ms"), ("reward",)),
    ],
)
def test_front_is_pursued_by_those_that_can_where_there_is_a_latency(file, strategy, with_latency, without):
    assert Contest(file, "valid", latency="ms").plan(strategy, 0).goals == Goals(with_latency)
    assert Contest(file, "valid").plan(strategy, 0).goals == Goals(without)


def test_plan_is_that_of_a_search(contest):
    plan = replace(contest, trials=7, batch=3).plan("regularized-evolution:population=5,tournament=2", 4)
    assert plan.strategy == strategies.create("regularized-evolution:population=5,tournament=2")
    assert (plan.seed, plan.budget.most, plan.batch, plan.prior) == (4, 7, 3, ())
    assert plan.objective == contest.objective()
    assert (plan.space.name, plan.space.decisions) == ("tabular/toy", contest.table.decisions)
    assert [stage.name for stage in plan.check()] == ["cost", "latency_ms", "training"]
    assert not plan.objective.limits


@pytest.mark.parametrize("name", list(strategies))
def test_every_strategy_has_a_plan_that_is_sound(contest, file, name):
    for one in (contest, Contest(file, "valid")):
        assert one.plan(name, 0).check()


# Runs


def store_of_a_run():
    store = Store("sqlite://")
    store.create_search("run", {})
    return store


def test_run_is_a_search_whose_trials_have_fractions_latencies_and_costs(contest):
    plan = contest.plan("random", 3)
    trials = Loop(plan, store_of_a_run(), {}, SILENT).run()
    table = contest.table
    assert [trial.number for trial in trials] == list(range(12))
    for trial in trials:
        row = table.row(trial.architecture)
        assert trial.state is State.COMPLETE
        assert trial.metrics["accuracy"] == table.column("valid")[row] / 100
        assert trial.metrics["latency_ms"] == table.column("ms")[row]
        assert trial.metrics["macs"] == table.column("flops")[row]
        assert trial.reward == plan.objective.reward_of(trial.metrics)
    assert run(contest, "random", 3).rows == tuple(table.row(trial.architecture) for trial in trials)


def test_runs_repeat_and_seeds_differ(file):
    contest = Contest(file, "valid", trials=12)
    assert run(contest, "surrogate:initial=4", 3).rows == run(contest, "surrogate:initial=4", 3).rows
    assert run(contest, "random", 0).rows != run(contest, "random", 1).rows


@pytest.mark.parametrize(("batch", "asks"), [(1, 12), (4, 3), (5, 3), (20, 1)])
def test_so_many_proposals_are_asked_for_at_once(contest, batch, asks):
    found = run(replace(contest, batch=batch), "regularized-evolution:population=4,tournament=2", 0)
    assert len(found.rows) == 12
    assert len(found.ask_seconds) == asks
    assert all(seconds >= 0 for seconds in found.ask_seconds)


def test_run_ends_with_its_strategy(file):
    found = run(Contest(file, "valid", trials=100), "enumeration", 0)
    assert found.rows == tuple(range(27))


@pytest.mark.parametrize(("batch", "strategy"), [(1, "random"), (5, "random"), (3, "surrogate:initial=4")])
def test_what_is_over_the_limit_is_not_counted(file, batch, strategy):
    contest = Contest(file, "valid", latency="ms", limit_ms=3.0, trials=8, batch=batch)
    table, found = contest.table, run(contest, strategy, 0)
    assert len(found.rows) == 8
    assert all(table.column("ms")[row] <= 3.0 for row in found.rows)
    drawn = [table.row(t.architecture) for t in Loop(contest.plan(strategy, 0), store_of_a_run(), {}, SILENT).run()]
    kept = [row for row in drawn if table.column("ms")[row] <= 3.0]
    assert len(drawn) > len(kept)
    assert found.rows == tuple(kept[:8])


def test_under_a_limit_a_run_ends_when_nothing_more_is_to_be_hoped_for(file):
    contest = Contest(file, "valid", latency="ms", limit_ms=1.0, trials=5)
    assert contest.proposals == 2 * 27 * 5  # one of 27 rows is within
    assert len(run(contest, "enumeration", 0).rows) == 1
    assert Contest(file, "valid", trials=5).proposals == 5


def test_gaps_are_failed_trials_and_no_values(file):
    found = run(Contest(file, "gaps", trials=27), "enumeration", 0)
    assert set(found.rows) == set(range(27))
    contest = Contest(file, "gaps", trials=1)
    last = replace(found, rows=(contest.table.rows[2, 2, 2],))
    assert math.isnan(best_so_far(contest, [last])[0, 0])


def test_gaps_of_latencies_are_failed_trials_too(file):
    contest = Contest(file, "valid", latency="slow gaps", trials=27)
    assert set(run(contest, "enumeration", 0).rows) == set(range(27))


# Earlier runs


def test_a_run_learns_from_an_earlier_one_of_other_columns(file):
    source, contest = Contest(file, "test", trials=20), Contest(file, "valid", latency="ms", reward="power", trials=3)
    first = run(source, "random", 5)
    prior = earlier(source, first, contest)
    assert not prior.is_alike
    assert [contest.table.row(trial.architecture) for trial in prior.trials] == list(dict.fromkeys(first.rows))
    for trial in prior.trials:
        accuracy = source.table.column("test")[source.table.row(trial.architecture)] / 100
        assert (trial.metrics["accuracy"], trial.reward) == (accuracy, contest.objective().reward_of(trial.metrics))
    alone = replace(contest, latency=None, reward=None)
    seen = run(source, "enumeration", 0)
    (best, *_) = run(alone, "surrogate", 0, (earlier(replace(source, trials=27), seen, alone),)).rows
    assert contest.table.column("test")[best] >= 65.0
    with pytest.raises(UsageError, match="does not learn from earlier searches"):
        run(alone, "random", 0, (prior,))


def test_gaps_of_an_earlier_run_tell_nothing(file):
    source, contest = Contest(file, "gaps", trials=27), Contest(file, "valid", trials=3)
    assert len(earlier(source, run(source, "enumeration", 0), contest).trials) == 26


def test_part_of_a_space_is_searched(tmp_path):
    ops = [f"{i:04b}" for i in range(16) if i % 3]
    path = tmp_path / "part.parquet"
    pq.write_table(pa.table({"ops": ops, "acc": [50.0 + op.count("1") for op in ops]}), path)
    for name, number in (("random", 30), ("surrogate:initial=4", 16), ("nsga2:population=4", 30)):
        found = run(Contest(path, "acc", trials=30), name, 0)
        assert len(found.rows) == number  # the surrogate proposes each of the sixteen once
        assert set(found.rows) <= set(range(len(ops)))


def test_contest_travels_to_workers(contest):
    contest.table  # noqa: B018 - is read here
    found = pickle.loads(pickle.dumps(contest))
    assert found == contest
    assert run(found, "random", 2).rows == run(contest, "random", 2).rows


# Comparisons


def test_all_strategies_run_with_all_seeds(contest):
    done = []
    with executors.create("serial").start() as executor:
        runs = compare(contest, ["random", "nsga2:population=4"], 3, executor, lambda *at: done.append(at))
    assert done[-1] == (6, 6)
    assert [(one.strategy, one.seed) for one in runs] == [
        (name, seed) for name in ("random", "nsga2:population=4") for seed in range(3)
    ]
    assert [one.rows for one in runs] == [run(contest, one.strategy, one.seed).rows for one in runs]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"trials": 0}, UsageError, "1 <= trials .*1 <= batch"),
        ({"batch": 0}, UsageError, "1 <= trials .*1 <= batch"),
        ({"reward": "kind", "latency": "ms"}, UnknownNameError, "No reward is called 'kind'"),
        ({"reward": "inverse-square", "latency": "ms"}, UsageError, "a quality that falls"),
        ({"target_ms": 3.0}, UsageError, "are about latency"),
        ({"reward": "hard"}, UsageError, "are about latency"),
        ({"target_ms": -3.0, "latency": "ms"}, UsageError, "positive number of milliseconds"),
        ({"limit_ms": 3.0}, UsageError, "are about latency"),
        ({"limit_ms": -3.0, "latency": "ms"}, UsageError, "a positive bound"),
        ({"limit_ms": 0.5, "latency": "ms"}, UsageError, "got 0.5 ms, and the fastest of .*toy.parquet has 1"),
        ({"metric": "absent"}, DataError, "not 'absent'"),
        ({"judge": "absent"}, DataError, "not 'absent'"),
        ({"latency": "absent"}, DataError, "not 'absent'"),
        ({"decisions": ("absent",)}, DataError, "not 'absent'"),
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
        with pytest.raises(UsageError, match="over 1 to 100000 seeds"):
            compare(Contest(file, "valid"), ["random"], 0, executor)
