"""The arithmetic of the benchmarks on made-up numbers, and that their configurations are what they say."""

import importlib
import os
import statistics
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from paretonas import Store
from paretonas.data.box_listing import list_boxes
from paretonas.data.images import Split
from paretonas.device import Transport, parse_device
from paretonas.device.timing import Protocol, Samples
from paretonas.errors import DataError, UsageError
from paretonas.export import ModelFile
from paretonas.network.cost import spec_cost
from paretonas.registry import Selection
from paretonas.search.sections import config_to_json
from paretonas.space import Architecture, Interface, spaces
from paretonas.space.nasbench import CELL_OPS, MACRO_OPS
from paretonas.strategy import strategies
from paretonas.task import recipes
from paretonas.trial import State, Trial
from paretonas.zoo import zoo_spec

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))
RESULTS = Path(__file__).parents[1] / "docs" / "results"


def benchmark(name):
    return importlib.import_module(name)


ablations, controllers, load, overhead = map(benchmark, ("ablations", "controllers", "load", "overhead"))
proxies, rewards, comparison, tables = map(benchmark, ("proxies", "rewards", "strategies", "tables"))
throughput, timing, timing_drift = map(benchmark, ("throughput", "timing", "timing_drift"))
choices, recipe_study, speedup = map(benchmark, ("choices", "recipes", "speedup"))
detectors, stores, imitated = map(benchmark, ("detectors", "stores", "imitated"))
box_copies, box_damages, box_exports = map(benchmark, ("box_copies", "box_damages", "box_exports"))


# Ablations


def test_every_ablation_has_a_configuration():
    assert sorted(path.stem for path in (BENCHMARKS / "ablations").glob("*.toml")) == sorted(ablations.NAMES)


def flat(sections):
    """A configuration with a key for each setting."""
    nested = {key: value for key, value in sections.items() if isinstance(value, dict)}
    inner = {f"{key}.{name}": value for key, part in nested.items() for name, value in flat(part).items()}
    return {key: value for key, value in sections.items() if key not in nested} | inner


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("soft", {}),
        ("hard", {"objective.reward.name": "hard"}),
        ("accuracy", {"objective.reward.name": "power"}),
        ("flat", {"space.variant": "flat"}),
        ("cell", {"space.variant": "cell"}),
    ],
)
def test_an_ablation_changes_one_line(name, changed):
    config, soft = (flat(config_to_json(ablations.load(each))) for each in (name, "soft"))
    differing = {key: value for key, value in config.items() if soft.get(key) != value}
    assert differing.pop("name", "ablation-soft") == f"ablation-{name}"
    assert differing == changed
    assert soft.keys() == config.keys()


@pytest.mark.parametrize(
    ("name", "decisions"), [("soft", 42), ("hard", 42), ("accuracy", 42), ("flat", 85), ("cell", 6)]
)
def test_plugins_of_an_ablation_exist(name, decisions):
    config = ablations.load(name)
    assert len(spaces.create(config.space, {"resolution": 32}).build().decisions) == decisions
    assert recipes.create(config.recipe).epochs == 2
    assert strategies.create(config.strategy).batch == 8


def test_unknown_ablation_is_refused():
    with pytest.raises(UsageError, match="one of soft, hard, accuracy, flat, cell, but got 'softer'"):
        ablations.load("softer")


def trial(number, state, reward=None, **metrics):
    return Trial(number, Architecture("s", (number,)), f"{number}", state, metrics, reward=reward, told=number)


TRIALS = [
    trial(0, State.COMPLETE, 0.9, accuracy=0.5, latency_ms=8.0),
    trial(1, State.COMPLETE, 0.8, accuracy=0.6, latency_ms=10.5),
    trial(2, State.COMPLETE, float("nan"), accuracy=0.4, latency_ms=20.0),
    trial(3, State.PRUNED, 0.0, latency_ms=9.9),
    trial(4, State.FAILED),
]


def test_comparison_is_what_is_computed_by_hand():
    row = ablations.compare("soft", 3, TRIALS, target_ms=10.0)
    assert (row.configuration, row.seed, row.complete) == ("soft", 3, 3)
    assert row.own_reward == 0.9
    assert row.soft_reward == pytest.approx(0.6 * 1.05**-0.07)
    assert row.accuracy_in_target == 0.5
    assert row.median_latency == pytest.approx(1.05)
    assert row.near_target == pytest.approx(1 / 3)
    assert row.hypervolume == pytest.approx(0.5 * 1.2 + 0.1 * 0.95)  # a latency of twice the target counts nothing


def test_comparison_without_complete_trials_has_no_numbers(capsys):
    row = ablations.compare("hard", 0, TRIALS[3:], target_ms=10.0)
    assert row == ablations.Row("hard", 0, 0, None, None, None, None, None, 0.0)
    ablations.print_rows([ablations.compare("soft", 0, TRIALS, 10.0), row])
    lines = capsys.readouterr().out.splitlines()
    assert lines[2] == "| soft | 0 | 3 | 0.9000 | 0.5980 | 50.00 % | 1.050 | 33 % | 0.6950 |"
    assert lines[3] == "| hard | 0 | 0 |  |  |  |  |  | 0.0000 |"


def test_figure_of_latencies_has_a_row_for_each_complete_trial(tmp_path):
    drawn = ablations.figure({("soft", 0): TRIALS, ("hard", 0): TRIALS[1:]}, 10.0).to_dict()
    values = drawn["layer"][0]["data"]["values"] if "data" in drawn["layer"][0] else drawn["data"]["values"]
    assert [(v["configuration"], round(v["latency"], 3)) for v in values] == [
        ("soft", 0.8),
        ("soft", 1.05),
        ("soft", 2.0),
        ("hard", 1.05),
        ("hard", 2.0),
    ]


def test_command_line_wins_over_the_configuration():
    words = ["out", "--data", "digits", "--trials", "7", "--epochs", "0.5", "--target-ms", "3"]
    options = ablations.parser().parse_args(words)
    config = ablations.configured("hard", 2, options)
    assert (config.name, config.seed, config.budget.trials) == ("ablation-hard-2", 2, 7)
    assert config.task.options == {"data": "digits", "train_images": 2000, "val_images": 1000}
    assert (config.recipe, config.devices[0].target_ms) == (Selection("search", {"epochs": 0.5}), 3.0)
    assert ablations.configured("accuracy", 0, options).devices[0].target_ms is None


@pytest.mark.parametrize(
    ("section", "other"),
    [("task", {"train_images": 200}), ("device", [{"device": "torch"}]), ("recipe", {"name": "mnasnet"}), ("seed", 1)],
)
def test_search_is_not_resumed_with_other_settings(section, other):
    config = ablations.configured("soft", 0, ablations.parser().parse_args(["out"]))
    begun = config_to_json(config)
    stored = {
        **begun,
        "recipe": {**begun["recipe"], "layout": "channels-last"},  # as a search writes it out
        "device": [{**begun["device"][0], "target_ms": 1.5}],
        "budget": {**begun["budget"], "trials": 2},
        "executor": {"name": "process", "workers": 2},
    }
    ablations._check_settings(config, stored)
    changed = {**stored[section], **other} if isinstance(other, dict) else other
    with pytest.raises(UsageError, match=rf"has {section}=.*Choose another output folder"):
        ablations._check_settings(config, stored | {section: changed})


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_ablations_run_are_resumed_and_compared(tmp_path):
    words = [sys.executable, BENCHMARKS / "ablations.py", tmp_path, "soft", "accuracy", "--data", "digits"]
    words += ["--train-images", "100", "--val-images", "100", "--epochs", "1", "--width", "0.25"]
    for trials in (2, 3):
        ran = subprocess.run([*words, "--trials", str(trials)], capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr
        assert f"| soft | 0 | {trials} |" in ran.stdout
        assert f"| accuracy | 0 | {trials} |" in ran.stdout
    assert "  1 of 3" not in ran.stdout  # two of three had been done
    for name in ("ablations.parquet", "ablations.json", "ablations.png"):
        assert (tmp_path / name).stat().st_size > 0


# Timing


@pytest.mark.parametrize(
    ("slow", "fast", "share"),
    [
        ([2.0, 3.0], [1.0, 1.5], 1.0),
        ([1.0, 1.5], [2.0, 3.0], 0.0),
        ([2.0, 3.0], [1.0, 2.0], 0.875),
        ([1.0, 4.0], [2.0, 3.0], 0.5),
    ],
)
def test_rank_accuracy_counts_pairs_and_halves_ties(slow, fast, share):
    assert timing.rank_accuracy(slow, fast) == share


def test_networks_of_the_timing_benchmark_differ_by_3_and_12_percent():
    interface = Interface.of_images(3, 224, 1000)
    macs = {name: spec_cost(spec, interface).macs for name, spec in timing.networks().items()}
    assert macs == {"T0": 300_774_272, "T3": 311_085_440, "T12": 337_948_624}


def samples(wall, cpu, reference=1.0):
    return Samples(tuple(wall), tuple(cpu), (reference,) * len(wall), (reference,) * len(wall))


def test_statistics_of_one_measurement():
    measured = Samples((4.0, 1.0, 10.0), (3.0, 1.0, 8.0), (2.0, 1.0, 4.0), (1.0, 1.0, 4.0))
    found = {name: statistic(measured) for name, statistic in timing.STATISTICS.items()}
    assert found == {
        "fastest CPU ratios, mean over loads": 1.0,
        "median of CPU pair ratios": 2.0,
        "median of wall pair ratios": 2.0,
        "ratio of CPU medians": 3.0,
        "wall mean": 5.0,
        "wall median": 4.0,
        "wall minimum": 1.0,
        "CPU mean": 4.0,
        "CPU median": 3.0,
        "CPU minimum": 1.0,
    }


def test_summary_of_timings_separates_kept_from_first_attempts():
    found = [
        timing.Measured("quiet", "T0", (samples([2, 2], [2, 2]), samples([1, 1], [1, 1])), 1, (), 0.0),
        timing.Measured("quiet", "T0", (samples([3, 3], [3, 3]),), 0, ("preempted",), 0.0),
        timing.Measured("quiet", "T3", (samples([1.5, 1.5], [2.5, 2.5]),), 0, (), 0.0),
    ]
    rows = {(row["use"], row["statistic"]): row for row in timing.summarize(found)}
    assert rows["kept", "CPU median"]["T3"] == 0.5  # 2.5 against 1 and 3
    assert rows["first", "CPU median"]["T3"] == 0.5  # against 2 and 3
    assert rows["kept", "wall median"]["T3"] == 0.5  # 1.5 against 1 and 3
    assert rows["first", "wall median"]["T3"] == 0.0
    assert rows["kept", timing.OURS]["cv_T0"] == pytest.approx(2**0.5 / 2)
    (count,) = timing.counts(found)
    assert (count["measurements"], count["repeated"], count["repeats"], count["kept_with_a_flag"]) == (3, 1, 1, 1)
    assert [(r["measurement"], r["attempt"], r["is_kept"]) for r in timing.raw_rows(found)] == [
        (0, 0, False),
        (0, 1, True),
        (1, 0, True),
        (2, 0, True),
    ]


class ScriptedTransport(Transport):
    """Gives what it was made with, one after the other."""

    machine = "here"

    def __init__(self, scripted):
        self._scripted = iter(scripted)

    def identify(self, runtime):
        return {"version": "0"}

    def measure(self, runtime, candidate, reference, protocol):
        return next(self._scripted), {"load": 1.5}

    def run_as_app(self, runtime, file, runs, every):
        raise NotImplementedError

    def open(self, runtime, file):
        raise NotImplementedError


def test_recorder_sees_all_attempts_and_which_was_kept(tmp_path):
    (tmp_path / "reference-3x8x8.onnx").touch()
    candidate = ModelFile(tmp_path / "candidate.onnx", Interface.of_images(3, 8, 10))
    preempted, clean = samples([9.0, 9.0], [3.0, 3.0]), samples([3.0, 2.0], [3.0, 2.0])
    device = timing.replace(parse_device("onnxruntime"), transport=ScriptedTransport([preempted, clean]))
    found = timing._measure(device, candidate, tmp_path, None, Protocol(pairs=2), "quiet", "T0")
    assert found.attempts == (preempted, clean)
    assert (found.kept, found.flags, found.load) == (1, (), 1.5)


on_linux = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="children are listed on Linux only")


def children():
    return {int(pid) for path in Path("/proc/self/task").glob("*/children") for pid in path.read_text().split()}


@on_linux
def test_load_works_on_its_core_and_is_gone_afterwards():
    core, before = max(os.sched_getaffinity(0)), children()
    with load.busy_cores([core]):
        (pid,) = children() - before
        assert os.sched_getaffinity(pid) == {core}
    assert children() <= before


@on_linux
def test_loads_are_gone_after_an_error():
    before, during = children(), set()

    def fail():
        with load.bursts(2, seed=0):
            during.update(children() - before)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert len(during) == 2
    assert children() <= before


def test_variation_is_deviation_over_mean():
    assert timing_drift.variation([1.0, 2.0, 3.0]) == 0.5


# Throughput


def test_images_per_second_counts_from_first_start_to_last_end():
    assert throughput.images_per_second([(100, 0.0, 4.0), (100, 1.0, 5.0)]) == 40.0


def test_best_plain_way_is_chosen_per_network_and_cores():
    rates = {
        ("a", "one core", "ours"): [30.0, 50.0, 40.0],
        ("a", "one core", "slow"): [10.0, 10.0, 10.0],
        ("a", "one core", "fast"): [20.0, 25.0, 16.0],
        ("a", "one core", "other layout"): [39.0, 39.0, 39.0],
        ("a", "machine", "slow"): [80.0],
        ("a", "machine", "ours"): [60.0],
    }
    rows = [
        {"network": network, "scope": scope, "variant": variant, "images_per_second": rate}
        for (network, scope, variant), values in rates.items()
        for rate in values
    ]
    found = throughput.summarize(rows, {("one core", "slow"), ("one core", "fast"), ("machine", "slow")})
    over = {(row["scope"], row["variant"]): row["over_best_plain"] for row in found}
    assert over["one core", "ours"] == 2.0
    assert over["one core", "other layout"] == 1.95
    assert over["machine", "ours"] == 0.75


@pytest.mark.parametrize("cores", [2, 4])
def test_variants_use_the_cores_that_they_say(cores):
    used = {(way.scope, way.processes * way.threads) for way in throughput.variants(cores)}
    assert used == {("one core", 1), ("machine", cores)}
    assert {way.scope for way in throughput.variants(1)} == {"one core"}


def test_plain_loop_is_fed_the_same_pixels():
    images = np.array([0, 255, 51], np.uint8).reshape(1, 3, 1, 1).repeat(4, 2).repeat(4, 3)
    transform = throughput.plain_transform(recipes.create("search"), 4, 3, flip=True)
    x, y = throughput.PlainImages(Split(images, np.array([7])), transform)[0]
    assert (x.shape, y) == ((3, 4, 4), 7)
    assert x[:, 0, 0].tolist() == pytest.approx([-2.0, 2.0, -1.2])
    assert len(throughput.plain_transform(recipes.create("search:crop=0.25"), 4, 3, flip=False).transforms) == 3


IMAGES = 64


def test_throughput_prints_and_keeps_what_was_measured(tmp_path, monkeypatch, capsys):
    def measure(works):
        rate = 200.0 if works[0].variant.kind == "ours" else 100.0 + works[0].variant.loaders
        return [(IMAGES, 0.0, IMAGES * len(works) / rate) for _ in works]

    monkeypatch.setattr(throughput, "measure", measure)
    monkeypatch.setattr(throughput.os, "sched_getaffinity", lambda pid: {0, 1})
    throughput.main(throughput.parser().parse_args(["digits", str(tmp_path), "--images", str(IMAGES), "--rounds", "2"]))
    printed = capsys.readouterr().out
    assert "| mnasnet-a1 | one core | ours | 200 | 200–200 | 1.98 |" in printed  # noqa: RUF001
    assert "| mobilenet-v2 | machine | plain, 2 loaders | 102 | 102–102 | 1.00 |" in printed  # noqa: RUF001
    table = pq.read_table(tmp_path / "throughput.parquet").to_pylist()
    assert len(table) == 2 * 2 * len(throughput.variants(2))
    assert {row["images"] for row in table if row["variant"] == "ours" and row["scope"] == "machine"} == {128}
    assert (tmp_path / "throughput.json").exists()


@pytest.mark.parametrize(("step", "share"), [(0, 0.0), (5, 0.5), (10, 0.975528), (50, 0.5), (100, 0.0)])
def test_learning_rate_rises_and_falls_as_the_recipes(step, share):
    assert throughput.learning_rate_share(step, 100, 0.1) == pytest.approx(share, abs=1e-6)


# Zero-cost metrics


@pytest.mark.parametrize(
    ("name", "column", "key"),
    [
        ("nasbench201", "ops", lambda spec: [CELL_OPS.index(op) for op in spec.edges]),
        ("nasbench-macro", "arch", lambda spec: "".join(str(MACRO_OPS.index(op)) for op in spec.layers)),
    ],
)
def test_sampled_networks_come_with_their_own_accuracies(real_data, name, column, key):
    file, metric = proxies.TABLES[name]
    table = pq.read_table(real_data / "nas_tables" / file, columns=[column, metric]).to_pydict()
    found = list(proxies.sample(name, real_data / "nas_tables", 5, seed=1))
    assert len({spec for spec, _, _ in found}) == 5
    for spec, accuracy, costs in found:
        assert accuracy == table[metric][table[column].index(key(spec))]
        cost = spec_cost(spec, Interface.of_images(3, 32, 10))
        assert costs == {"params": cost.params, "macs": cost.macs}


def test_metrics_are_told_of_all_networks_and_of_the_best_fifth(capsys):
    metrics = (*proxies.UNTRAINED, *proxies.COSTS)
    # a metric that finds out the bad networks and says nothing of the best ten of fifty
    rows = [
        {"space": space, "accuracy": float(i), **dict.fromkeys(metrics, float(min(i, 40)))}
        for space in proxies.TABLES
        for i in range(50)
    ]
    proxies.report(rows)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + 2 * len(metrics)
    all_networks, best = lines[2].split("|")[3:6], lines[2].split("|")[6:9]
    assert all_networks[0].startswith(" +1.00 (+0.98 to ")
    assert all_networks[2] == " strong, more is better "
    assert best[0] == " +0.00 (+0.00 to +0.00) "
    assert best[2] == " no evidence that it tells anything "


def test_correlation_at_equal_macs_is_what_is_computed_by_hand():
    metric, accuracy, macs = [1, 3, 2, 5, 4], [1, 2, 3, 4, 5], [2, 1, 4, 3, 5]  # 0.8, 0.3 and 0.8 of two each
    assert proxies.at_equal(macs, metric, accuracy) == pytest.approx(0.56 / (0.91 * 0.36) ** 0.5)
    assert proxies.at_equal(macs, macs, accuracy) is None


# Strategies on tables


@pytest.fixture
def contests(real_data):
    return tables.contests(real_data / "nas_tables", trials=60)


@pytest.mark.parametrize("label", ["macro", "nb201", "nb201-pixel3", "nb201-proxy", "nb201-raspi4"])
def test_kept_runs_are_those_of_the_strategies_that_are_compared(contests, label):
    runs = tables.read_runs(RESULTS / "strategies" / f"{label}.parquet")
    kept = {(run.strategy, run.seed) for run in runs}
    wanted = set(comparison.wanted(comparison.strategies_of(contests[label]), 20))
    assert {pair for pair in wanted if pair[0] not in comparison.SLOW} <= kept <= wanted


@pytest.mark.parametrize("label", ["macro", "nb201-pixel3", "nb201-proxy"])
@pytest.mark.parametrize("name", ["random", "local-search", "regularized-evolution", "nsga2"])
def test_kept_runs_are_what_the_strategies_still_do(contests, label, name):
    runs = tables.read_runs(RESULTS / "strategies" / f"{label}.parquet")
    kept = next(run for run in runs if (run.strategy, run.seed) == (name, 7))
    assert comparison.one(contests[label], name, 7).rows == kept.rows[:60]


def test_peers_are_given_what_the_table_says(contests):
    seen = comparison.Seen(contests["nb201-pixel3"])
    table, choices = contests["nb201-pixel3"].table, (3, 0, 2, 4, 1, 1)
    row, (found, again) = table.rows[choices], (seen.evaluate(list(choices)) for _ in range(2))
    assert found == again == {
        "accuracy": table.column(tables.FINAL)[row] / 100,
        "latency_ms": table.column(tables.PIXEL3)[row],
    }  # fmt: skip
    run = seen.run("peer", 3)
    assert (run.strategy, run.seed, run.rows, len(run.ask_seconds)) == ("peer", 3, (row, row), 2)
    assert comparison.Seen(contests["macro"]).evaluate([0] * 8).keys() == {"accuracy"}


def test_rewards_of_rows_are_what_strategies_are_told(contests):
    contest = contests["nb201-pixel3"]
    table, told = contest.table, controllers.rewards(contest)
    row, target = 4321, statistics.median(table.column(tables.PIXEL3))
    accuracy, latency = (table.column(name)[row] for name in (tables.FINAL, tables.PIXEL3))
    assert told[row] == pytest.approx(accuracy / 100 * (latency / target) ** -0.07)
    assert controllers.rewards(contests["macro"])[5] == contests["macro"].table.column(tables.MACRO_ACCURACY)[5] / 100


def test_rewards_benchmark_runs_what_it_says(real_data, tmp_path, monkeypatch, capsys):
    words = ["rewards.py", str(real_data / "nas_tables"), str(tmp_path), "--seeds", "2", "--trials", "60"]
    evolution = rewards.STRATEGIES[1]
    monkeypatch.setattr(sys, "argv", words)
    options = tables.arguments("", 10, 500).parse_args(words[1:])
    options.target_ms, options.strategies = None, (evolution,)
    rewards.main(options)
    assert capsys.readouterr().out.count(f"| {evolution} |") == len(rewards.NAMES)
    kept = {(run.strategy, run.seed): run for run in tables.read_runs(RESULTS / "rewards" / "rewards.parquet")}
    for run in tables.read_runs(tmp_path / "rewards.parquet"):
        assert run.rows == kept[run.strategy, run.seed].rows[:60]


# What a trial costs


@pytest.mark.parametrize("strategy", ["random", "nsga2", "surrogate"])
def test_overhead_counts_every_trial_once(strategy, tmp_path):
    rows = overhead.measure(strategy, trials=24, window=12, home=tmp_path)
    assert [(row.strategy, row.first, row.last) for row in rows] == [(strategy, 1, 12), (strategy, 13, 24)]
    for row in rows:
        parts = row.ask_ms + row.tell_ms + row.store_ms + row.rest_ms
        assert parts == pytest.approx(row.everything_ms)
        assert min(row.ask_ms, row.tell_ms, row.store_ms) > 0
        assert row.largest_ask_ms <= 12 * row.ask_ms + 1e-9
    trials = Store(tmp_path / "store.db").trials("overhead")
    assert {trial.state for trial in trials} == {State.COMPLETE}
    assert all(trial.evidence.keys() == {"cost", "latency_ms", "training"} for trial in trials)


def test_overhead_names_short_strategies_that_it_runs():
    assert overhead.SHORT.keys() <= set(overhead.STRATEGIES)


# Networks that are really faster


@pytest.mark.parametrize(
    ("accuracy", "expected"),
    [(0.5, 2.0), (0.6, 2 * 2**0.5), (0.7, 4.0), (0.45, None), (0.71, None)],
)
def test_speed_up_is_beside_the_baseline_of_equal_accuracy(accuracy, expected):
    curve = [(1.0, 0.5), (3.0, 0.65), (2.0, 0.7)]  # a wider network that is worse counts for nothing
    assert speedup.speed_up(curve, accuracy, 0.5) == (expected if expected is None else pytest.approx(expected))


def test_one_thing_is_changed_of_a_network():
    base = zoo_spec("mobilenet-v2", 0.5, 32)
    images = Interface.of_images(3, 32, 10)
    for name, spec in speedup.levers(32).items():
        assert spec != base, name
        spec_cost(spec, images)


def test_recipes_differ_from_the_searchs():
    base = replace(recipes.create("search"), **recipe_study.FIRST["search"])
    changed = [replace(base, **change) for change in recipe_study.CHANGES.values()]
    assert changed[0] == base
    assert len(set(changed)) == len(changed)


def test_a_choice_pays_what_networks_with_it_have_beyond_others_of_their_latency():
    rng = np.random.default_rng(0)
    space = spaces.create("elastic:resolution=32,width=0.5").build()
    drawn = np.array([[rng.integers(len(d.choices)) for d in space.decisions] for _ in range(400)])
    names = [decision.name for decision in space.decisions]
    is_early = drawn[:, names.index("stem.stride")] == 1
    is_plain = sum((drawn[:, names.index(f"block{i}.op")] == 2).astype(float) for i in range(1, 8))
    ms = np.exp(-0.5 * is_early + 0.1 * is_plain)
    quality = 0.5 + 0.1 * np.log(ms) + 0.02 * is_plain + rng.normal(0, 0.005, 400)
    shown = {line[0]: line for line in choices.compared(space, drawn, ms, quality)}
    latency, points, pays = (float(text.split()[0]) for text in shown["stem.stride 2"][1:])
    assert latency == pytest.approx(-22, abs=2)  # half of exp(-.5) on either side
    assert points == pytest.approx(-2.5, abs=0.3)
    assert float(shown["op conv"][3].split()[0]) > 1 > abs(float(shown["kernel 5"][3].split()[0]))
    assert abs(pays) < 1.5


# Detectors


def test_a_found_detector_stands_beside_others_with_one_thing_changed():
    found = zoo_spec("nas-fpn:backbone=detnasnet,width=0.25,filters=16,stacks=2")
    necks = detectors.necks(found, 2)
    assert list(necks) == ["FPN", "random neck 1", "random neck 2"]
    assert (necks["FPN"].neck.cells, necks["FPN"].neck.stacks) == ((), 1)
    assert len({spec.neck for spec in necks.values()} - {found.neck}) == 3
    assert {spec.backbone for spec in necks.values()} == {found.backbone}
    paths = detectors.paths(found, 1)
    assert [set(spec.backbone.blocks) for spec in paths.values()][:4] == [{block} for block in detectors.BLOCKS]
    assert {spec.neck for spec in paths.values()} == {found.neck}


# Copies of data with boxes


@pytest.fixture(scope="module")
def pictures(real_data):
    return box_copies.read_pictures(real_data / "bccd", (4, 2, 2), 64)


def counts(pictures):
    """Images and boxes in all."""
    everything = box_exports.everything(pictures)
    return len(everything), sum(len(one.boxes) for one in everything)


@pytest.mark.parametrize("name", list(box_exports.EXPORTS))
def test_what_annotation_tools_export_opens_whole(pictures, name, tmp_path):
    tree = box_exports.EXPORTS[name](pictures)
    box_copies.write_tree(tree, tmp_path)
    listing = list_boxes(tmp_path, False)
    absent = [] if "images.zip" in tree else [one for one in pictures.splits["test"] if one.name not in " ".join(tree)]
    images, boxes = counts(pictures)
    assert len(listing.names) == images - len(absent)
    assert sum(map(len, listing.labels)) == boxes - sum(len(one.boxes) for one in absent)
    assert listing.classes == tuple(sorted(listing.classes)) == tuple(sorted(pictures.classes))


def test_damaged_data_lose_what_is_damaged_and_nothing_else(pictures, tmp_path):
    for number, damage in enumerate(box_damages.damages(pictures)):
        if damage.what == "an image cut off":  # found when it is decoded
            continue
        tree, loss = damage.apply(pictures)
        box_copies.write_tree(tree, tmp_path / str(number))
        if loss.is_whole:
            with pytest.raises(DataError):
                list_boxes(tmp_path / str(number), True)
            continue
        listing = list_boxes(tmp_path / str(number), True)
        found = len(listing.names), sum(map(len, listing.labels))
        images, boxes = counts(pictures)
        assert found == (images - loss.images, boxes - loss.boxes), damage.what
        assert bool(listing.faults or listing.notes) >= bool(loss.images or loss.boxes), damage.what  # none is silent


# Stores


def test_a_thousand_trials_of_a_store_are_summed_up_by_the_medians_of_their_windows(tmp_path):
    rows = [stores.Row("a", 0, 2 + 100 * i, 100 + 100 * i, 100.0 + i, 1.0, 0.5, 50.0) for i in range(15)]
    first, second = stores.summarize(rows)
    assert first == ("a", "1 to 1,000", "104", "100 to 109", "1.00", "0.50", "50")
    assert second[:4] == ("a", "1,001 to 2,000", "112", "110 to 114")
    stores.make_table(tmp_path / "made.parquet")
    assert stores.plan(tmp_path / "made.parquet", "s", 3).space.size == 5**6
    assert stores.measure(str(tmp_path / "store.db"), "a", 0, tmp_path / "made.parquet", 200)[0].last == 100


# Imitated searches


def test_an_imitated_search_is_scored_by_what_it_trained_within_the_limit():
    imitation = imitated.Imitation(RESULTS, imitated.SOURCES["mnasnet"])
    assert imitation.space.name.startswith("mnasnet:")
    assert (
        np.corrcoef(imitation.of(list(imitation.trained)).T[0], [a for a, _ in imitation.trained.values()])[0, 1] > 0.8
    )
    found = imitation.run("random", 3, 12)
    assert found == imitation.run("random", 3, 12)
    assert len(found["ms"]) == 12
    assert max(found["ms"]) <= imitation.bound
    assert found["seen"] != found["accuracy"]
    made = {"accuracy": (0.3, 0.4, 0.5), "seen": (0.2, 0.1, 0.6), "ms": (0.5, 0.7, 0.9)}
    made["ms"] = tuple(share * imitation.bound for share in made["ms"])  # the last is over what is aimed at
    assert [imitation.taken(made, n) for n in (1, 2, 3)] == [30.0] * 3
    volumes = [imitation.share(made, n) for n in (1, 2, 3)]
    assert volumes[0] < volumes[1] < volumes[2]
    assert np.isnan(imitation.taken({**made, "ms": (imitation.bound,) * 3}, 3))
