"""Searches as a whole: real digits, real networks and files, on a device that counts beads."""

import re
import socket
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec

import pytest
import toy_table
from abacus import CONFIG
from PIL import Image

from paretonas.errors import (
    DataError,
    DeviceError,
    MachineError,
    ParetonasError,
    SpecError,
    StoreError,
    UnknownNameError,
    UsageError,
)
from paretonas.loop.listener import Listener
from paretonas.loop.plan import Budget
from paretonas.objective import metric
from paretonas.registry import Selection
from paretonas.search.config import DeviceConfig
from paretonas.search.deletion import delete_search
from paretonas.search.search import Search, new_search, open_search
from paretonas.search.sections import config_to_json
from paretonas.store import Store
from paretonas.testing.replay import replayed_proposals
from paretonas.trial import State

TASK = CONFIG.task


@pytest.fixture
def table(tmp_path):
    return toy_table.write_table(tmp_path / "toy.parquet")


def with_data(**options):
    return replace(TASK, options={**TASK.options, **options})


def facts(trials):
    timeless = ("train_seconds", "examples_per_second")
    metrics = [{name: value for name, value in t.metrics.items() if name not in timeless} for t in trials]
    return [(t.architecture, t.state, t.reward, t.told, m) for t, m in zip(trials, metrics, strict=True)]


def test_a_search_gives_trials_with_everything_that_is_known_of_them(store, tmp_path):
    search = new_search(CONFIG, store, tmp_path)
    trials = search.run()
    assert trials == store.trials("s")
    assert [(t.number, t.state, t.fidelity) for t in trials] == [(n, State.COMPLETE, 1.0) for n in range(3)]
    for trial in trials:
        assert {metric(name).known for name in trial.metrics} == {"cost", "device", "training"}
        assert {"params", "macs", "peak_memory_bytes", "weight_bytes", "train_loss"} <= trial.metrics.keys()
        accuracy, latency = trial.metrics["accuracy"], trial.metrics["latency_ms"]
        assert trial.reward == pytest.approx(accuracy * latency**-0.07)
        kinds = {name: id and store.evaluation(id)[0] for name, id in trial.evidence.items()}
        assert kinds == {"cost": None, "latency_ms": "latency", "training": "training"}
        _, key, value = store.evaluation(trial.evidence["training"])
        assert (key["spec"], key["digest"]) == (trial.spec_hash, search.config.recorded.digest)
        assert value["accuracy"] == accuracy
    assert not list((tmp_path / "s").glob("*.search-state"))
    assert replayed_proposals(search.plan(), trials, batch=4) == [t.architecture for t in trials]


def test_what_was_found_out_is_recorded(store, tmp_path):
    config = replace(CONFIG, strategy=Selection("ppo", {"batch": 3}))
    search = new_search(config, store, tmp_path)
    found = search.config
    assert found.strategy.options["batch"] == 3
    assert found.strategy.options["lr"] == 0.005
    assert found.recipe.options["batch_size"] == 64
    assert "about" not in found.recipe.options
    assert found.space.options["resolution"] == 8
    assert found.reward == Selection("soft", {"alpha": -0.07, "beta": -0.07})
    assert found.goals == ("reward",)
    assert found.task.options["split_seed"] == 0
    assert found.recorded.quality == "accuracy"
    assert found.recorded.validation == search.trained_evaluator().task.examples["val"] == 287
    assert "cpu beads" in found.recorded.measured_on
    assert store.config("s") == config_to_json(found)
    assert open_search("s", store, tmp_path).config == found


@pytest.mark.parametrize(
    ("strategy", "goals"), [("nsga2", ("accuracy", "latency_ms")), ("surrogate", ("reward",)), ("random", ("reward",))]
)
def test_goals_that_nobody_gave_are_recorded(store, tmp_path, strategy, goals):
    config = replace(CONFIG, strategy=Selection(strategy))
    assert new_search(config, store, tmp_path).config.goals == goals


def test_an_interrupted_search_goes_on_as_if_nothing_had_happened(tmp_path):
    """Screened by an untrained network's metric, and halved; killed after each trial that ends."""
    config = replace(
        CONFIG,
        strategy=Selection("regularized-evolution", {"population": 2, "tournament": 2}),
        fidelity=Selection("asha", {"rungs": 2, "factor": 2.0}),
        screen=Selection("synflow", {"keep": 0.7}),
        limits=("params<=500000",),
        recipe=replace(CONFIG.recipe, options={**CONFIG.recipe.options, "epochs": 2.0}),
        budget=Budget(trials=4),
    )

    def stop(progress):
        raise KeyboardInterrupt

    whole = new_search(config, Store(tmp_path / "a.db"), tmp_path / "a").run()
    store, trials, sessions = Store(tmp_path / "b.db"), [], 0
    new_search(config, store, tmp_path / "b")
    while sum(t.told is not None for t in trials) < 4:
        with pytest.raises(KeyboardInterrupt):
            open_search("s", store, tmp_path / "b", Listener(progress=stop)).run()
        trials, sessions = store.trials("s"), sessions + 1
    assert sessions == 4
    assert facts(trials) == facts(whole)
    assert {t.state for t in whole} == {State.COMPLETE, State.PRUNED}
    assert not list((tmp_path / "b" / "s").glob("*.search-state"))


def test_a_candidate_is_trained_on_from_where_it_was_scored(store, tmp_path):
    halves = replace(
        CONFIG,
        fidelity=Selection("asha", {"rungs": 2, "factor": 2.0}),
        recipe=replace(CONFIG.recipe, options={**CONFIG.recipe.options, "epochs": 2.0}),
    )
    trials = new_search(halves, store, tmp_path).run()
    assert [t.state for t in trials if t.fidelity == 1.0] != []
    assert {t.state for t in trials if t.fidelity == 0.5} == {State.PRUNED}
    at_once = new_search(
        replace(halves, name="at-once", fidelity=Selection("full")), Store("sqlite://"), tmp_path
    ).run()
    for halved, whole in zip(trials, at_once, strict=True):
        assert halved.architecture == whole.architecture
        if halved.fidelity == 1.0:
            assert halved.metrics["train_loss"] == whole.metrics["train_loss"]
            assert halved.metrics["accuracy"] == whole.metrics["accuracy"]


def test_a_raised_budget_goes_on(store, tmp_path):
    whole = new_search(replace(CONFIG, name="whole", budget=Budget(trials=3)), store, tmp_path).run()
    new_search(replace(CONFIG, budget=Budget(trials=1)), store, tmp_path).run()
    config = open_search("s", store, tmp_path).config
    raised = open_search("s", store, tmp_path, change=replace(config, budget=Budget(trials=3)))
    assert store.config("s")["budget"]["trials"] == 3
    assert [(t.architecture, t.reward) for t in raised.run()] == [(t.architecture, t.reward) for t in whole]


def test_a_search_goes_on_with_another_executor(store, tmp_path):
    before = new_search(replace(CONFIG, budget=Budget(trials=1)), store, tmp_path).config
    elsewhere = Selection("process", {"workers": 1, "pin": False})
    open_search("s", store, tmp_path, change=replace(before, executor=elsewhere))
    assert open_search("s", store, tmp_path).config == replace(before, executor=elsewhere)


@pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: pip install paretonas[ray]")
def test_a_cluster_that_does_not_answer_is_said_before_anything_is_stored(store, tmp_path):
    nowhere = Selection("ray", {"address": "127.0.0.1:1"})
    with pytest.raises(UsageError, match="does not answer"):
        new_search(replace(CONFIG, executor=nowhere), store, tmp_path)
    assert store.searches() == []


# Several devices


def test_several_devices_each_have_a_latency_a_target_and_a_limit(store, tmp_path):
    phone = DeviceConfig("onnxruntime@abacus:phone", "phone", target_ms=1.0)
    pi = DeviceConfig("torch@abacus:pi", "pi", target_ms=2.0)
    config = replace(CONFIG, devices=(phone, pi), limits=("latency_ms.pi<=0.015",), budget=Budget(trials=4))
    search = new_search(config, store, tmp_path)
    trials = search.run()
    assert {t.state for t in trials} == {State.COMPLETE, State.PRUNED}
    for trial in trials:
        names = ("latency_ms.phone", "latency_ms.pi")
        one, other = (trial.metrics[name] for name in names)
        assert {*names} <= trial.evidence.keys()
        assert one != other  # files of two formats differ in size
        if trial.state is State.COMPLETE:
            assert trial.reward == pytest.approx(trial.metrics["accuracy"] * one**-0.07 * (other / 2) ** -0.07)
        else:
            assert trial.metrics["latency_ms.pi"] > 0.015
    assert [device["name"] for device in store.config("s")["device"]] == ["phone", "pi"]
    assert search.config.recorded.measured_on.count("beads") == 2


def test_a_target_that_nobody_gave_is_what_a_typical_network_takes(store, tmp_path):
    devices = (
        DeviceConfig("onnxruntime@abacus:phone", "phone", target_ms=1.0),
        DeviceConfig("onnxruntime@abacus:pi", "pi"),
    )
    notes = []
    found = new_search(replace(CONFIG, devices=devices), store, tmp_path, Listener(note=notes.append)).config.devices
    assert found[0].target_ms == 1.0
    assert 0.5 < found[1].target_ms < 5.0
    (note,) = (note for note in notes if " on pi" in note)
    assert note.startswith(f"No target latency was given: aiming at {found[1].target_ms:.3g} ms on pi")
    again = []
    reopened = open_search("s", store, tmp_path, Listener(note=again.append))
    assert reopened.config.devices == found
    assert again == []


def test_the_name_of_the_only_device_is_not_in_its_metrics(store, tmp_path):
    devices = (DeviceConfig("onnxruntime@abacus", "phone", target_ms=1.0),)
    (trial,) = new_search(replace(CONFIG, devices=devices, budget=Budget(trials=1)), store, tmp_path).run()
    assert "latency_ms" in trial.metrics


def test_a_reward_that_ignores_latency_needs_no_target(store, tmp_path):
    devices = (DeviceConfig("onnxruntime@abacus"),)
    config = replace(CONFIG, devices=devices, reward=Selection("power"), budget=Budget(trials=1))
    notes = []
    search = new_search(config, store, tmp_path, Listener(note=notes.append))
    assert notes == []
    assert search.config.devices[0].target_ms is None
    (trial,) = search.run()
    assert trial.reward == trial.metrics["accuracy"]


# What is refused, before anything is stored


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"task": with_data(data="nowhere")}, DataError),
        ({"task": with_data(resolution=3)}, DataError),
        ({"task": with_data(train_images=0)}, DataError),
        ({"strategy": Selection("randon")}, UnknownNameError),
        ({"devices": (DeviceConfig("onnxruntime:thread=1"),)}, DeviceError),
        ({"devices": (DeviceConfig("onnxruntime@nowhere"),)}, DeviceError),
        ({"space": Selection("mnasnet", {"variant": "papers"})}, SpecError),
        ({"recipe": Selection("search", {"epochs": 0.0})}, UsageError),
        ({"recipe": Selection("search", {"optimizer": "nonsense"})}, UsageError),
        ({"torch_device": "abacus"}, UsageError),
        ({"executor": Selection("process", {"workers": 0})}, UsageError),
        ({"fidelity": Selection("ash")}, UnknownNameError),
        ({"fidelity": Selection("asha", {"factor": 0.0})}, UsageError),
        ({"screen": Selection("x")}, UnknownNameError),
        ({"reward": Selection("mnasnet", {"alpha": 5.0})}, UsageError),
        ({"reward": Selection("mnasnet", {"alpha": float("nan")})}, UsageError),
        ({"reward": Selection("mnasnet", {"beta": float("-inf")})}, UsageError),
        ({"reward": Selection("inverse-square")}, UsageError),  # of a quality that falls
        ({"reward": Selection("power")}, UsageError),  # it would not look at the target
        ({"goals": ("accuracy", "latency_ms")}, UsageError),  # random search would not look at them
        ({"goals": ("synflow",), "strategy": Selection("nsga2")}, UsageError),
        ({"goals": ("charm",), "strategy": Selection("nsga2")}, UsageError),
        ({"prior": ("nobody",)}, StoreError),
        ({"limits": ("synflow<=3",)}, UsageError),
        ({"limits": ("latency_ms.phone<=3",)}, UsageError),
        ({"limits": ("peak_memory_bytes.phone<=3",)}, UsageError),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_stored(change, error, store, tmp_path):
    with pytest.raises(error):
        new_search(replace(CONFIG, **change), store, tmp_path)
    assert store.searches() == []


def test_a_name_that_is_taken_is_refused_before_data_are_read(store, tmp_path):
    store.create_search("s", {})
    with pytest.raises(StoreError, match="resume s"):
        new_search(replace(CONFIG, task=with_data(data="nowhere")), store, tmp_path)


def test_a_configuration_is_checked_without_touching_data(store, tmp_path):
    Search(replace(CONFIG, task=with_data(data="nowhere")), store, tmp_path / "home")
    assert not (tmp_path / "home").exists()
    with pytest.raises(ParetonasError):
        Search(replace(CONFIG, strategy=Selection("nsga2", {"population": 0})), store, tmp_path)


def test_data_that_changed_are_refused_on_resume(store, tmp_path):
    folder = tmp_path / "photos"
    for name, shade in (("cat", 40), ("dog", 200)):
        (folder / name).mkdir(parents=True)
        for i in range(12):
            Image.new("L", (8, 8), shade + i).save(folder / name / f"{i}.png")
    config = replace(CONFIG, task=Selection("classification", {"data": str(folder)}), budget=Budget(trials=1))
    assert len(new_search(config, store, tmp_path).run()) == 1
    assert len(open_search("s", store, tmp_path).run()) == 1
    Image.new("L", (8, 8), 0).save(folder / "cat" / "new.png")
    with pytest.raises(DataError, match="have changed since"):
        open_search("s", store, tmp_path)


def test_another_device_is_pointed_out_on_resume(store, tmp_path):
    config = new_search(CONFIG, store, tmp_path).config
    elsewhere = replace(config, recorded=replace(config.recorded, measured_on="an engine"))
    store.set_config("s", config_to_json(elsewhere))
    notes = []
    open_search("s", store, tmp_path, Listener(note=notes.append))
    (note,) = notes
    assert "was measured on an engine; now it is runtime OnnxRuntime(threads=1, precision='float32', keep=())" in note


def test_a_folder_called_digits_does_not_hide_the_digits(store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").mkdir()
    search = new_search(CONFIG, store, tmp_path)
    assert search.config.task.options["data"] == "digits"
    assert search.trained_evaluator().task.examples["train"] == 100


# One writer at a time


def test_a_search_that_another_process_holds_is_left_alone(store, tmp_path):
    search = new_search(CONFIG, store, tmp_path)
    with Store(tmp_path / "store.db").hold("s"):
        with pytest.raises(StoreError, match="one process at a time"):
            search.run()
        with pytest.raises(StoreError, match="one process at a time"):
            delete_search("s", store, tmp_path)
        with pytest.raises(StoreError, match="one process at a time"):
            open_search("s", store, tmp_path, change=replace(search.config, budget=Budget(trials=50)))
        assert open_search("s", store, tmp_path).config == search.config  # reading is free
    assert store.config("s")["budget"]["trials"] == 3
    assert store.trials("s") == []
    assert len(search.run()) == 3


def test_a_search_that_another_process_is_making_is_left_to_it(store, tmp_path):
    config = replace(CONFIG, task=with_data(data="nowhere"))
    with Store(tmp_path / "store.db").hold("s"), pytest.raises(StoreError, match="one process at a time"):
        new_search(config, store, tmp_path)  # refused before the data are looked for


# One home


def test_a_search_has_one_home_whoever_shares_its_store(table, store, tmp_path):
    url = f"sqlite:///{tmp_path / 'store.db'}"
    search = new_search(toy_table.config(table), store, tmp_path / "mine")
    assert search.config.recorded.home == "mine"
    (tmp_path / "mine" / "toy").mkdir(parents=True)
    for call in (open_search, delete_search):
        with pytest.raises(UsageError, match=rf"has one home, but that of 'toy' is {tmp_path}/mine, not .*/yours: "):
            call("toy", Store(url), tmp_path / "yours")
    assert open_search("toy", Store(url), tmp_path / "yours" / ".." / "mine").config == search.config
    (tmp_path / "mine").rename(tmp_path / "yours")
    moved = open_search("toy", store, tmp_path / "yours", change=search.config)
    assert store.config("toy")["recorded"]["home"] == moved.config.recorded.home == "yours"
    delete_search("toy", store, tmp_path / "yours")
    assert not (tmp_path / "yours" / "toy").exists()


def test_what_a_killed_process_left_half_written_is_swept(table, store, tmp_path):
    search = new_search(toy_table.config(table), store, tmp_path)
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    host = re.sub(r"[^\w-]", "_", socket.gethostname())
    drafts = [tmp_path / folder / f"a.{host}.{gone.pid}.part" for folder in ("cache", search.config.name)]
    for draft in drafts:
        draft.parent.mkdir(exist_ok=True)
        draft.touch()
    search.run()
    assert not any(draft.exists() for draft in drafts)


def test_a_home_that_is_moved_with_its_store_is_the_same(table, tmp_path):
    (tmp_path / "a").mkdir()
    config = new_search(toy_table.config(table), Store(tmp_path / "a" / "store.db"), tmp_path / "a").config
    assert config.recorded.home == "."
    (tmp_path / "a").rename(tmp_path / "b")
    assert open_search("toy", Store(tmp_path / "b" / "store.db"), tmp_path / "b").config == config


def test_files_that_cannot_be_removed_leave_the_search(table, store, tmp_path):
    new_search(toy_table.config(table), store, tmp_path)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "toy").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(MachineError, match="cannot be removed"):
        delete_search("toy", store, tmp_path)
    assert [summary.name for summary in store.searches()] == ["toy"]


def test_a_search_whose_configuration_is_damaged_can_be_deleted(store, tmp_path):
    store.create_search("s", {"recorded": "nonsense"})
    with pytest.raises(StoreError, match="recorded is an object"):
        open_search("s", store, tmp_path)
    delete_search("s", store, tmp_path)
    assert store.searches() == []


def test_deleting_forgets_the_search_and_keeps_what_was_paid_for(store, tmp_path):
    config = replace(CONFIG, budget=Budget(trials=1))
    (trial,) = new_search(config, store, tmp_path).run()
    (tmp_path / "s").mkdir(exist_ok=True)
    (tmp_path / "s" / "trial-0.onnx").touch()
    delete_search("s", store, tmp_path)
    assert store.searches() == []
    assert not (tmp_path / "s").exists()
    assert (tmp_path / "cache").exists()
    assert store.evaluation(trial.evidence["training"]) is not None
    (again,) = new_search(config, store, tmp_path).run()
    assert again.is_reused
    assert again.metrics == trial.metrics
    with pytest.raises(StoreError, match="No search is called 't'"):
        delete_search("t", store, tmp_path)
