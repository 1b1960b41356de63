"""A search whose candidates are rows of a table: the same loop, store and report."""

from dataclasses import replace

import pyarrow.parquet as pq
import pytest
from toy_table import config, source, write_table

from paretonas.errors import DataError, UsageError
from paretonas.loop.listener import Listener
from paretonas.loop.plan import Budget
from paretonas.registry import Selection
from paretonas.search.baselines import baselines, companions
from paretonas.search.config import DeviceConfig
from paretonas.search.finalists import train_trials
from paretonas.search.search import new_search, open_search
from paretonas.store import Store
from paretonas.trial import State

AT_5 = (DeviceConfig(target_ms=5.0),)


@pytest.fixture
def table(tmp_path):
    return write_table(tmp_path / "toy.parquet")


def test_trials_are_looked_up_and_rewarded(table, store, tmp_path):
    search = new_search(config(table, "enumeration", 81, devices=AT_5), store, tmp_path)
    trials = {t.architecture.choices: t for t in search.run()}
    one = trials[1, 0, 2, 0]
    assert one.metrics["accuracy"] == pytest.approx(0.65)
    assert one.metrics["latency_ms"] == pytest.approx(4.1)
    assert (one.metrics["params"], one.metrics["latency_flags"]) == (1000.0, 0)
    assert one.reward == pytest.approx(0.65 * (4.1 / 5) ** -0.07)
    assert one.evidence == {"cost": None, "latency_ms": None, "training": None}
    untrained, untimed = trials[0, 0, 0, 0], trials[0, 0, 0, 1]
    assert (untrained.state, untimed.state) == (State.FAILED, State.FAILED)
    assert "toy has no acc of 0 0 0 0" in untrained.error
    assert "toy has no ms of 0 0 0 1: nan" in untimed.error
    assert sum(t.state is State.COMPLETE for t in trials.values()) == 79


def test_limits_prune_rows(table, store, tmp_path):
    trials = new_search(config(table, trials=30, limits=("params<=2000",)), store, tmp_path).run()
    assert {t.state for t in trials if t.architecture.choices[3] == 2} == {State.PRUNED}
    assert State.COMPLETE in {t.state for t in trials}


def test_rows_that_were_seen_before_are_reused(table, store, tmp_path):
    trials = new_search(config(table, trials=60), store, tmp_path).run()
    seen = set()
    for trial in trials:
        if trial.state is State.COMPLETE:
            assert trial.is_reused == (trial.spec_hash in seen)
            seen.add(trial.spec_hash)
    assert any(t.is_reused for t in trials)


@pytest.mark.parametrize(
    ("strategy", "goals"),
    [("surrogate:initial=5", ("accuracy", "latency_ms")), ("nsga2:population=4", ()), ("local-search:initial=3", ())],
)
def test_it_goes_on_as_if_it_had_not_stopped(table, tmp_path, strategy, goals):
    def settings(trials):
        return config(table, strategy, trials, goals=goals, screen=Selection("params", {"keep": 0.8}))

    whole = new_search(settings(24), Store(tmp_path / "a.db"), tmp_path / "a").run()
    store = Store(tmp_path / "b.db")
    begun = new_search(settings(12), store, tmp_path / "b")
    begun.run()
    change = replace(begun.config, budget=Budget(trials=24))
    resumed = open_search("toy", store, tmp_path / "b", change=change)
    assert resumed.config.strategy.name == strategy.partition(":")[0]
    assert [(t.architecture, t.state, t.reward) for t in resumed.run()] == [
        (t.architecture, t.state, t.reward) for t in whole
    ]


def test_median_latency_is_the_target_where_none_is_given(table, store, tmp_path):
    notes = []
    search = new_search(config(table, trials=1), store, tmp_path, Listener(note=notes.append))
    (device,) = search.config.devices
    assert (device.device, device.name, device.target_ms) == ("table", "", pytest.approx(5.1))
    assert notes == ["No target latency was given: aiming at 5.1 ms, the median of ms."]
    free = new_search(config(table, trials=1, name="free", table=source(table, latency=())), store, tmp_path)
    assert free.config.devices == (DeviceConfig(),)
    assert [t.reward for t in free.run()] == [t.metrics["accuracy"] for t in free.run()]


def test_several_latencies_each_have_a_target(table, store, tmp_path):
    several = source(table, latency=("phone=ms", "pi-ms"))
    devices = (DeviceConfig(name="phone", target_ms=5.0), DeviceConfig(name="pi-ms"))
    search = new_search(config(table, "enumeration", 81, table=several, devices=devices), store, tmp_path)
    assert search.config.devices == (DeviceConfig("table", "phone", 5.0), DeviceConfig("table", "pi-ms", 10.0))
    one = {t.architecture.choices: t for t in search.run()}[1, 0, 2, 0]
    assert one.metrics["latency_ms.phone"] == pytest.approx(4.1)
    assert one.metrics["latency_ms.pi-ms"] == 8.0
    assert one.reward == pytest.approx(0.65 * (4.1 / 5) ** -0.07 * (8 / 10) ** -0.07)
    assert open_search("toy", store, tmp_path).config == search.config


def test_one_of_several_latencies_may_be_aimed_at_alone(table, store, tmp_path):
    devices = (DeviceConfig(name="phone", target_ms=3.0),)
    several = config(table, table=source(table, latency=("phone=ms", "pi=pi-ms")), devices=devices)
    found = new_search(several, store, tmp_path).config.devices
    assert found == (DeviceConfig("table", "phone", 3.0), DeviceConfig("table", "pi", 10.0))


def test_a_front_pursues_every_latency(table, store, tmp_path):
    several = source(table, latency=("phone=ms", "pi=pi-ms"))
    search = new_search(config(table, "nsga2:population=4", table=several), store, tmp_path)
    assert search.config.goals == ("accuracy", "latency_ms.phone", "latency_ms.pi")
    assert len(search.run()) == 12


def test_a_quality_that_falls_has_a_reward_that_rises(table, store, tmp_path):
    falling = source(table, metric="ppl", quality="perplexity")
    search = new_search(config(table, "enumeration", 81, table=falling, devices=AT_5), store, tmp_path)
    assert search.config.reward.name == "inverse-square"
    trials = {t.architecture.choices: t for t in search.run()}
    one = trials[1, 0, 2, 0]
    assert one.metrics["perplexity"] == 85.0
    assert one.reward == pytest.approx(80 / 85**2 * (4.1 / 5) ** -0.07)
    with pytest.raises(UsageError, match="is of a quality that rises"):
        new_search(config(table, name="other", table=falling, reward=Selection("soft")), store, tmp_path)


def test_a_baseline_of_a_table_is_random_search(table, store, tmp_path):
    search = new_search(config(table, "local-search", 5, baselines=True), store, tmp_path)
    assert [found.config.name for found in baselines(search)] == ["toy.random"]
    assert companions(config(table, "random", baselines=True)) == ()


def test_changed_table_is_refused(table, store, tmp_path):
    new_search(config(table, trials=1), store, tmp_path)
    pq.write_table(pq.read_table(table).slice(1), table)
    with pytest.raises(DataError, match="have changed since"):
        open_search("toy", store, tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metric": "absent"}, "not 'absent'"),
        ({"latency": ("absent",)}, "not 'absent'"),
        ({"latency": ("phone=absent", "ms")}, "not 'absent'"),
        ({"file": "absent.parquet"}, "there is no file"),
        ({"decisions": ("absent",)}, "not 'absent'"),
    ],
)
def test_a_table_that_cannot_be_is_refused(table, store, tmp_path, change, message):
    with pytest.raises(UsageError, match=message):
        new_search(config(table, table=source(table, **change)), store, tmp_path)
    assert not store.searches()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"limits": ("macs<=3",)}, r"measured here \(params, latency_ms, .*accuracy\), but got 'macs'"),
        ({"limits": ("latency_ms.pi<=3",)}, "but got 'latency_ms.pi'"),
        ({"screen": Selection("synflow")}, "but got 'synflow'"),
        ({"screen": Selection("macs")}, "but got 'macs'"),
        ({"goals": ("accuracy", "latency_ms")}, "maximizes the reward, but got the goals"),
        ({"devices": (DeviceConfig(target_ms=1.0), DeviceConfig(name="x", target_ms=1.0))}, "a name of its own"),
        ({"devices": (DeviceConfig(name="phone", target_ms=1.0), DeviceConfig(name="pi"))}, "but got 'phone'"),
    ],
)
def test_what_would_have_no_effect_is_refused(table, store, tmp_path, change, message):
    with pytest.raises(UsageError, match=message):
        new_search(config(table, **change), store, tmp_path)
    assert not store.searches()


def test_a_target_needs_a_column_of_latencies(table, store, tmp_path):
    with pytest.raises(UsageError, match="Targets are for no latency, but got one for latency_ms"):
        new_search(config(table, table=source(table, latency=()), devices=AT_5), store, tmp_path)


def test_a_table_is_screened_by_the_costs_that_it_has(table, store, tmp_path):
    trials = new_search(config(table, trials=30, screen=Selection("params")), store, tmp_path).run()
    assert {t.reward for t in trials if t.state is State.PRUNED} == {None}


def test_a_row_is_nothing_to_train(table, store, tmp_path):
    search = new_search(config(table), store, tmp_path)
    trials = search.run()[:1]
    with pytest.raises(UsageError, match="is a row of a table: nothing to build or train"):
        train_trials(search, trials)
    assert search.seconds_a_trial() == 0


# Earlier searches


def learning(table, *prior, **change):
    return config(table, "surrogate:initial=4", name="second", prior=prior, **change)


def test_an_earlier_search_is_recorded_with_the_number_of_its_trials(table, store, tmp_path):
    first = new_search(config(table, trials=10), store, tmp_path)
    first.run()
    search = new_search(learning(table, "toy"), store, tmp_path)
    assert search.config.prior == ("toy@10:alike",)
    assert store.config("second")["strategy"]["prior"] == ["toy@10:alike"]
    assert open_search("second", store, tmp_path).config.prior == ("toy@10:alike",)


def test_what_was_learned_stays_the_same_while_the_earlier_search_goes_on(table, store, tmp_path):
    first = new_search(config(table, trials=10), store, tmp_path)
    first.run()
    whole = new_search(learning(table, "toy", trials=8), store, tmp_path).run()
    store.delete_search("second")
    begun = new_search(learning(table, "toy", trials=3), store, tmp_path)
    begun.run()
    more = replace(first.config, budget=Budget(trials=30))
    assert len(open_search("toy", store, tmp_path, change=more).run()) == 30
    change = replace(begun.config, budget=Budget(trials=8))
    resumed = open_search("second", store, tmp_path, change=change)
    (prior,) = resumed.plan().prior
    assert len(prior.trials) == sum(t.state is State.COMPLETE for t in first.store.trials("toy")[:10])
    assert [t.architecture for t in resumed.run()] == [t.architecture for t in whole]


def test_an_earlier_search_changes_what_is_proposed(table, store, tmp_path):
    new_search(config(table, trials=10), store, tmp_path).run()
    fresh = new_search(config(table, "surrogate:initial=4", 3, name="fresh"), store, tmp_path).run()
    learned = new_search(learning(table, "toy@9", trials=3), store, tmp_path)
    assert learned.config.prior == ("toy@9:alike",)
    assert [t.architecture for t in learned.run()] != [t.architecture for t in fresh]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prior": ("toy", "nobody")}, "No search is called 'nobody'"),
        ({"prior": ("toy@x",)}, "An earlier search is NAME or NAME@N, with :alike or :other after it, but got 'toy@x'"),
        ({"prior": ("toy@²",)}, "An earlier search is NAME or NAME@N, .* but got 'toy@²'"),
        ({"prior": ("toy@" + "9" * 5000,)}, "An earlier search is NAME or NAME@N"),
        ({"prior": ("toy@0",)}, "with accuracy, latency_ms, but 'toy@0:alike' has none"),
        ({"prior": ("other@5",)}, r"trials of the space 'tabular/toy' .* but 'other@5:other' has none"),
        ({"prior": ("toy",), "strategy": Selection("random")}, "does not learn from earlier searches"),
        ({"prior": ("toy",), "strategy": Selection("nsga2")}, "does not learn from earlier searches"),
    ],
)
def test_an_earlier_search_that_is_of_no_use_is_refused(table, store, tmp_path, change, message):
    new_search(config(table, trials=3), store, tmp_path).run()
    other = write_table(tmp_path / "other.parquet")
    new_search(config(other, trials=5, name="other"), store, tmp_path).run()
    with pytest.raises(UsageError, match=message):
        new_search(replace(learning(table), **change), store, tmp_path)
    assert {summary.name for summary in store.searches()} == {"toy", "other"}
