"""A table in the place of training and timing: what its columns mean, and what its gaps do."""

import hashlib
import itertools
import math
import pickle

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from paretonas.errors import DataError, MeasureError, TrainingError, UnknownNameError, UsageError
from paretonas.evaluation.evaluator import INLINE
from paretonas.evaluation.table import TableEvaluator, TableSource
from paretonas.loop.gates import Limits
from paretonas.loop.listener import SILENT, Listener
from paretonas.loop.loop import Loop
from paretonas.loop.plan import Budget, Plan
from paretonas.objective import Goals, Limit, Objective, rewards
from paretonas.space import Architecture, ForeignSpec
from paretonas.space.table import TabularSpec
from paretonas.store import Store
from paretonas.strategy import strategies
from paretonas.trial import State

ROWS = list(itertools.product("ab", repeat=3))
NAN, NONE = float("nan"), None


def columns(**change):
    """Of eight rows."""
    numbers = range(8)
    usual = {
        "ops": [list(row) for row in ROWS],
        "acc": [10.0 * (1 + n) for n in numbers],
        "fraction": [0.1 * (1 + n) for n in numbers],
        "ppl": [100.0 - n for n in numbers],
        "ms": [1.0 + n for n in numbers],
        "slow ms": [2.0 + 2 * n for n in numbers],
        "params": [1000 * (1 + n) for n in numbers],
        "flops": [5000.0 * (1 + n) for n in numbers],
    }
    return {name: values for name, values in {**usual, **change}.items() if values is not None}


@pytest.fixture
def write(tmp_path):
    def write(**change):
        path = tmp_path / "toy.parquet"
        pq.write_table(pa.table(columns(**change)), path)
        return str(path)

    return write


def spec_of(row):
    return TabularSpec("toy", ROWS[row])


def looked_up(evaluator, spec):
    """Metrics by stage, or what a stage raised."""
    found = {}
    for stage in evaluator.stages():
        assert stage.lane == INLINE
        assert stage.known(spec) is None
        call = stage.call(spec)
        try:
            evidence = stage.keep(spec, call.function(*call.arguments))
        except (MeasureError, TrainingError) as error:
            found[stage.name] = error
            continue
        assert evidence.id is None
        assert set(stage.gives) >= {name for name in evidence.metrics if not name.startswith("latency_flags")}
        found[stage.name] = evidence.metrics
    return found


# What the columns mean


def test_a_row_is_costs_latency_and_quality(write):
    evaluator = TableEvaluator(TableSource(write(), "acc", ("ms",)))
    assert looked_up(evaluator, spec_of(2)) == {
        "cost": {"params": 3000.0, "macs": 15000.0},
        "latency_ms": {"latency_ms": 3.0, "latency_flags": 0.0},
        "training": {"accuracy": pytest.approx(0.3)},
    }
    assert not evaluator.is_buildable
    assert evaluator.seconds_a_trial() == 0.0


def test_a_stage_is_there_only_if_the_table_has_it(write):
    bare = TableEvaluator(TableSource(write(params=None, flops=None), "acc"))
    assert [stage.name for stage in bare.stages()] == ["training"]
    assert looked_up(bare, spec_of(0)) == {"training": {"accuracy": pytest.approx(0.1)}}
    named = TableEvaluator(TableSource(write(flops=None, macs=[7.0] * 8), "acc"))
    assert looked_up(named, spec_of(0))["cost"] == {"params": 1000.0, "macs": 7.0}


@pytest.mark.parametrize(("column", "accuracy"), [("acc", 0.3), ("fraction", 0.3)])
def test_accuracies_are_fractions_or_percent(write, column, accuracy):
    evaluator = TableEvaluator(TableSource(write(), column))
    assert evaluator.score(spec_of(2)) == {"accuracy": pytest.approx(accuracy)}


def test_a_quality_other_than_accuracy_is_in_its_own_unit(write):
    source = TableSource(write(), "ppl", quality="perplexity")
    evaluator = TableEvaluator(source)
    assert evaluator.quality == "perplexity"
    assert looked_up(evaluator, spec_of(2))["training"] == {"perplexity": 98.0}
    assert evaluator.stages()[-1].gives == ("perplexity",)
    assert "perplexity: ppl" in evaluator.about().lines


def test_a_quality_that_is_not_declared_is_refused(write):
    with pytest.raises(UnknownNameError, match="No metric is called 'charm'"):
        TableSource(write(), "ppl", quality="charm")


def test_several_latencies_have_names(write):
    source = TableSource(write(), "acc", ("phone=ms", "slow ms"))
    assert source.columns == {"latency_ms.phone": "ms", "latency_ms.slow-ms": "slow ms"}
    found = looked_up(TableEvaluator(source), spec_of(2))
    assert found["latency_ms.phone"] == {"latency_ms.phone": 3.0, "latency_flags.phone": 0.0}
    assert found["latency_ms.slow-ms"] == {"latency_ms.slow-ms": 6.0, "latency_flags.slow-ms": 0.0}


def test_the_only_latency_goes_without_a_name(write):
    assert TableSource(write(), "acc", ("phone=ms",)).columns == {"latency_ms": "ms"}


@pytest.mark.parametrize("latency", [("phone=ms", "phone=slow ms"), ("ms", "ms"), ("slow ms", "slow-ms")])
def test_names_of_latencies_that_repeat_are_refused(write, latency):
    with pytest.raises(UsageError, match="Latencies of a table have names of their own"):
        TableSource(write(), "acc", latency)


# Reading


def test_a_source_reads_nothing_before_it_is_used(tmp_path):
    source = TableSource(str(tmp_path / "absent.parquet"), "acc")
    assert pickle.loads(pickle.dumps(source)) == source
    evaluator = TableEvaluator(source)
    with pytest.raises(DataError, match="there is no file"):
        evaluator.prepare(SILENT)


@pytest.mark.parametrize(
    ("settings", "absent"),
    [(("nothing",), "nothing"), (("acc", ("nothing",)), "nothing"), (("acc", ("phone=nothing", "ms")), "nothing")],
)
def test_a_column_that_is_absent_is_named(write, settings, absent):
    with pytest.raises(DataError, match=f"has the columns of numbers acc, .*, but not '{absent}'"):
        TableEvaluator(TableSource(write(), *settings)).prepare(SILENT)


def test_the_home_folder_may_be_written_short(write, monkeypatch, tmp_path):
    write()
    monkeypatch.setenv("HOME", str(tmp_path))
    assert TableSource("~/toy.parquet", "acc").table.name == "toy"


def test_digest_is_of_the_contents(write):
    path = write()
    before = TableSource(path, "acc").digest
    assert TableSource(path, "acc").digest == before
    with open(path, "rb") as file:
        assert hashlib.sha256(file.read()).hexdigest().startswith(before)
    write(ms=[9.0] * 8)
    assert TableSource(path, "acc").digest != before


def test_about_names_table_and_columns(write):
    about = TableEvaluator(TableSource(write(), "acc", ("ms", "slow ms"))).about()
    assert about.lines == ("on the table toy", "accuracy: acc", "latencies ms, slow ms")
    assert about.measured_on == "toy, columns ms, slow ms"
    assert TableEvaluator(TableSource(write(), "acc")).about().measured_on == "toy"


def test_usual_latencies_are_medians(write):
    gaps = [NONE, NAN, math.inf, 0.0, 1.0, 2.0, 3.0, 4.0]
    notes = []
    evaluator = TableEvaluator(TableSource(write(ms=gaps), "acc", ("phone=ms", "slow ms")))
    listener = Listener(note=notes.append)
    assert [evaluator.usual_ms(f"latency_ms.{name}", listener) for name in ("phone", "slow-ms")] == [2.5, 9.0]
    assert notes == [
        "No target latency was given: aiming at 2.5 ms, the median of ms.",
        "No target latency was given: aiming at 9 ms, the median of slow ms.",
    ]
    empty = TableEvaluator(TableSource(write(ms=[NAN] * 8), "acc", ("ms",)))
    with pytest.raises(DataError, match="A column of latencies has numbers, but ms of toy has none"):
        empty.usual_ms("latency_ms", SILENT)


# Gaps


@pytest.mark.parametrize("gap", [NAN, NONE, math.inf, 0.0, -1.0])
def test_a_latency_that_is_none_is_a_measure_error(write, gap):
    evaluator = TableEvaluator(TableSource(write(ms=[1.0, gap, *[2.0] * 6]), "acc", ("ms",)))
    found = looked_up(evaluator, spec_of(1))
    assert isinstance(found["latency_ms"], MeasureError)
    assert str(found["latency_ms"]).startswith("toy has no ms of a a b: ")
    assert looked_up(evaluator, spec_of(0))["latency_ms"]["latency_ms"] == 1.0


@pytest.mark.parametrize("gap", [NAN, NONE, math.inf])
def test_a_quality_that_is_none_is_a_training_error(write, gap):
    evaluator = TableEvaluator(TableSource(write(acc=[50.0, gap, *[60.0] * 6]), "acc"))
    found = looked_up(evaluator, spec_of(1))["training"]
    assert isinstance(found, TrainingError)
    assert str(found) == "toy has no acc of a a b."


def test_a_cost_that_is_none_is_left_out(write):
    evaluator = TableEvaluator(TableSource(write(params=[NONE, *range(1, 8)]), "acc"))
    assert looked_up(evaluator, spec_of(0))["cost"] == {"macs": 5000.0}


def test_percent_are_told_by_the_largest_number_that_there_is(write):
    fractions = TableEvaluator(TableSource(write(fraction=[math.inf, *[0.5] * 7]), "fraction"))
    assert fractions.score(spec_of(1)) == {"accuracy": 0.5}
    evaluator = TableEvaluator(TableSource(write(acc=[NAN, 0.5, 70.0, *[NONE] * 5]), "acc"))
    assert evaluator.score(spec_of(1)) == {"accuracy": 0.005}
    assert evaluator.score(spec_of(2)) == {"accuracy": 0.7}


def searched(evaluator, objective):
    """All rows, through the loop."""
    store = Store("sqlite://")
    store.create_search("s", {})
    plan = Plan(
        "s",
        evaluator.table.space(),
        strategies.create("enumeration"),
        0,
        Goals(limits=objective.limits),
        objective,
        evaluator,
        (Limits(objective),),
        Budget(trials=8),
    )
    return Loop(plan, store, {}, SILENT).run()


def test_gaps_are_failed_trials_and_no_crash(write):
    path = write(acc=[50.0, NAN, *[60.0] * 6], ms=[1.0, 1.0, NAN, NONE, math.inf, 0.0, 2.0, 3.0], params=[NAN] * 8)
    evaluator = TableEvaluator(TableSource(path, "acc", ("ms",)))
    trials = searched(evaluator, Objective(targets={"latency_ms": 1.0}, limits=(Limit("params", 5.0),)))
    states = ["complete", *["failed"] * 5, "complete", "complete"]
    assert [t.state.value for t in trials] == states
    assert [("ms" in (t.error or ""), "acc" in (t.error or "")) for t in trials[1:3]] == [(False, True), (True, False)]


def test_what_a_limit_prunes_is_not_looked_up(write):
    path = write(acc=[NAN] * 4 + [60.0] * 4)
    evaluator = TableEvaluator(TableSource(path, "acc", ("ms",)))
    trials = searched(evaluator, Objective(reward=rewards.create("power"), limits=(Limit("latency_ms", 5.0),)))
    assert [t.state for t in trials] == [State.FAILED] * 4 + [State.COMPLETE] + [State.PRUNED] * 3
    assert all("accuracy" not in t.metrics for t in trials[5:])


# Partial tables


def test_an_architecture_that_a_table_lacks_is_its_nearest_row(write):
    kept = [0, 3, 7]
    part = {name: [values[n] for n in kept] for name, values in columns().items()}
    evaluator = TableEvaluator(TableSource(write(**part), "acc"))
    space = evaluator.table.space()
    assert space.size == 8
    missing = Architecture(space.name, (1, 1, 0))  # bba: nearest is bbb
    assert evaluator.score(space.decode(missing)) == {"accuracy": pytest.approx(0.8)}
    assert evaluator.row(space.decode(missing)) == 2
    assert evaluator.about().lines[0] == "on the table toy, 3 of 8 architectures"
    trials = searched(evaluator, Objective(reward=rewards.create("power")))
    assert {t.state for t in trials} == {State.COMPLETE}
    assert sum(not t.is_reused for t in trials) == 3


def test_what_is_no_row_is_refused(write):
    evaluator = TableEvaluator(TableSource(write(), "acc"))
    with pytest.raises(TrainingError, match="A table has rows of its own kind"):
        evaluator.row(ForeignSpec("timm:resnet18"))


def test_rows_of_several_lengths_are_looked_up(write):
    ops = [list(row[:2]) for row in ROWS[::2]] + [[*row, "a"] for row in ROWS[::2]]
    evaluator = TableEvaluator(TableSource(str(write(ops=ops, slow_ms=None)), "acc", ("ms",)))
    space = evaluator.table.space()
    for number, row in enumerate(ops):
        spec = TabularSpec(space.name.partition("/")[2], tuple(row))
        assert evaluator.row(spec) == number
        metrics = {n: v for stage in evaluator.stages() for n, v in stage.evidence(spec).metrics.items()}
        assert metrics["accuracy"] == pytest.approx(0.1 * (1 + number))
        assert metrics["params"] == 1000 * (1 + number)
