"""The loop with real digits, a real store and real networks, but latencies and accuracies computed from the spec."""

from dataclasses import replace

import pytest
from computed import CONFIG, number_of
from PIL import Image

import paretonas.evaluation.trained as module
import paretonas.search.search as searches
from paretonas.device.transport.local import LocalTransport
from paretonas.errors import (
    DataError,
    ExportError,
    SpecError,
    StoreError,
    TrainingError,
    UnknownNameError,
    UsageError,
    WorkError,
)
from paretonas.evaluation.trained import Evaluator
from paretonas.latency import Latency
from paretonas.loop.listener import Listener
from paretonas.loop.loop import Loop
from paretonas.search.config import config_from_json, config_to_json
from paretonas.search.search import baselines, delete_search, new_search, open_search
from paretonas.space import spaces, spec_from_json, spec_hash
from paretonas.store import Store
from paretonas.task import recipes
from paretonas.testing.replay import replayed_proposals
from paretonas.trial import State


@pytest.fixture
def trained(monkeypatch):
    """Hashes of the specs that were trained, in order."""
    hashes = []

    def train(job):
        spec = spec_from_json(job.spec)
        hashes.append(spec_hash(spec))
        return {"accuracy": number_of(spec), "train_seconds": 1.0}

    monkeypatch.setattr(module, "run_training", train)
    return hashes


@pytest.fixture
def timed(monkeypatch):
    """Hashes of the specs that were timed, in order."""
    hashes = []

    def latency(self, spec, protocol=None):
        hashes.append(spec_hash(spec))
        ratio = 0.5 + number_of(spec)
        return Latency((ratio,) * 3, (ratio,) * 3, (1.0,) * 3, (1.0,) * 3, calibrated=1e-3)

    monkeypatch.setattr(Evaluator, "latency", latency)
    return hashes


def _run(config, store, tmp_path, listener=Listener()):  # noqa: B008
    return new_search(config, store, tmp_path, listener).run()


def test_every_proposal_becomes_a_complete_trial(trained, timed, store, tmp_path):
    seen = []
    trials = _run(CONFIG, store, tmp_path, Listener(progress=seen.append))
    assert trials == store.trials("s")
    assert [t.number for t in trials] == list(range(12))
    assert {t.state for t in trials} == {State.COMPLETE}
    assert [p.ended for p in seen] == list(range(1, 13))
    for trial in trials:
        accuracy, latency = trial.metrics["accuracy"], trial.metrics["latency_ms"]
        assert trial.reward == pytest.approx(accuracy * latency**-0.07)
        assert {"params", "macs", "peak_memory_bytes", "weight_bytes"} <= trial.metrics.keys()
    assert seen[-1].best.reward == max(t.reward for t in trials)


def test_a_broken_limit_prunes_before_anything_is_paid_for(trained, timed, store, tmp_path):
    params = sorted(t.metrics["params"] for t in _run(CONFIG, store, tmp_path))
    before = len(timed)
    trials = _run(replace(CONFIG, name="limited", limits=(f"params<={params[5]}", "latency_ms<=1.2")), store, tmp_path)
    pruned = [t for t in trials if t.state is State.PRUNED]
    for trial in pruned:
        assert trial.reward == 0
        assert trial.metrics["params"] > params[5] or trial.metrics["latency_ms"] > 1.2
        assert "over the limit" in trial.error
        assert "accuracy" not in trial.metrics
    too_large = [t for t in pruned if t.metrics["params"] > params[5]]
    assert len(too_large) == 6
    assert all("latency_ms" not in t.metrics for t in too_large)
    assert len(timed) - before == 6


def test_a_failed_training_is_a_failed_trial(trained, timed, store, tmp_path, monkeypatch):
    train = module.run_training

    def train_or_diverge(job):
        if len(trained) == 3:
            trained.append("diverged")
            raise TrainingError("Training diverged: the loss of step 3 of 9 is nan.")
        return train(job)

    monkeypatch.setattr(module, "run_training", train_or_diverge)
    trials = _run(CONFIG, store, tmp_path)
    failed = [t for t in trials if t.state is State.FAILED]
    assert [(t.number, t.reward) for t in failed] == [(3, None)]
    assert "the loss of step 3 of 9 is nan" in failed[0].error
    assert sum(t.state is State.COMPLETE for t in trials) == 11


def test_a_failed_export_is_a_failed_trial(trained, timed, store, tmp_path, monkeypatch):
    latency = Evaluator.latency

    def latency_or_error(self, spec, protocol=None):
        if len(timed) == 2:
            timed.append("failed")
            raise ExportError("the file differs")
        return latency(self, spec)

    monkeypatch.setattr(Evaluator, "latency", latency_or_error)
    failed = [t for t in _run(CONFIG, store, tmp_path) if t.state is State.FAILED]
    assert [t.number for t in failed] == [2]
    assert "ExportError: the file differs" in failed[0].error


def test_nothing_is_trained_twice(trained, timed, store, tmp_path):
    config = replace(CONFIG, space="mnasnet:variant=cell", trials=60, seed=3)
    trials = _run(config, store, tmp_path)
    unique = {t.spec_hash for t in trials}
    assert len(unique) < len(trials)
    assert len(trained) == len(set(trained)) == len(unique)
    assert sum(t.is_reused for t in trials) == len(trials) - len(unique)
    again = _run(replace(config, name="again"), store, tmp_path)
    assert len(trained) == len(unique)
    assert all(t.is_reused for t in again)
    assert [t.reward for t in again] == [t.reward for t in trials]


def test_a_training_is_looked_up_once_when_a_worker_is_free(trained, timed, store, tmp_path, monkeypatch):
    looked_up, original = [], Evaluator.trained

    def recorded(self, spec, fidelity):
        looked_up.append(spec_hash(spec))
        return original(self, spec, fidelity)

    monkeypatch.setattr(Evaluator, "trained", recorded)
    trials = _run(CONFIG, store, tmp_path)
    assert looked_up == [trial.spec_hash for trial in trials]


def test_a_search_in_which_all_fails_is_stopped(timed, store, tmp_path, monkeypatch):
    def fail(job):
        raise TrainingError("no")

    monkeypatch.setattr(module, "run_training", fail)
    with pytest.raises(WorkError, match="first 8 trials all failed"):
        _run(CONFIG, store, tmp_path)
    assert [t.state for t in store.trials("s")] == [State.FAILED] * 8 + [State.WAITING] * 0


@pytest.mark.parametrize(
    "strategy", ["random", "ppo:batch=3,lr=0.01", "regularized-evolution:population=4,tournament=2"]
)
def test_an_interrupted_search_goes_on_as_if_nothing_had_happened(
    trained, timed, store, tmp_path, monkeypatch, strategy
):
    config = replace(CONFIG, strategy=strategy)
    whole = _run(replace(config, name="whole"), Store(tmp_path / "other.db"), tmp_path)
    train, calls = module.run_training, []

    def train_or_stop(job):
        calls.append(job)
        if len(calls) in (1, 4, 7):
            raise KeyboardInterrupt
        return train(job)

    monkeypatch.setattr(module, "run_training", train_or_stop)
    with pytest.raises(KeyboardInterrupt):
        _run(config, store, tmp_path)
    complete = []
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            open_search("s", store, tmp_path).run()
        now = [t for t in store.trials("s") if t.state is State.COMPLETE]
        assert [t for t in now if t.number in {c.number for c in complete}] == complete
        complete = now
    search = open_search("s", store, tmp_path)
    trials = search.run()
    assert [t.architecture for t in trials] == [t.architecture for t in whole]
    assert [t.reward for t in trials] == [t.reward for t in whole]
    assert replayed_proposals(search, trials, batch=4) == [t.architecture for t in trials]


def test_time_budget_stops_and_resuming_with_more_goes_on(trained, timed, store, tmp_path):
    trials = _run(replace(CONFIG, seconds=1e-6), store, tmp_path)
    assert not any(t.state is State.COMPLETE for t in trials)
    search = open_search("s", store, tmp_path)
    search.config = replace(search.config, seconds=None)
    assert {t.state for t in search.run()} == {State.COMPLETE}


def test_time_alone_as_the_budget_has_no_largest_number_of_trials(trained, timed, store, tmp_path, monkeypatch):
    config = replace(CONFIG, trials=None, seconds=3600.0)
    assert config.budget is None
    assert replace(config, seconds=None).budget == 100
    assert replace(config, trials=7).budget == 7
    seen = []
    monkeypatch.setattr(Loop, "_seconds", property(lambda loop: 3601.0 if len(trained) == 10 else 1.0))
    trials = new_search(config, store, tmp_path, Listener(progress=seen.append)).run()
    assert sum(t.state is State.COMPLETE for t in trials) == 10
    assert seen[0].budget is None
    assert seen[0].seconds_left > 3000


def test_two_processes_never_run_one_search(trained, timed, store, tmp_path):
    search = new_search(CONFIG, store, tmp_path)
    with searches._sole_runner(store, tmp_path, "s"), pytest.raises(StoreError, match="one process at a time"):
        search.run()
    assert len(search.run()) == 12


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"data": "nowhere"}, DataError),
        ({"strategy": "randon"}, UnknownNameError),
        ({"device": "onnxruntime:thread=1"}, UsageError),
        ({"space": "mnasnet:variant=papers"}, UsageError),
        ({"limits": ("params>3",)}, UsageError),
        ({"limits": ("flops<=3",)}, UsageError),
        ({"recipe": "search:epochs=0"}, UsageError),
        ({"recipe": "search:optimizer=nonsense"}, UsageError),
        ({"torch_device": "abacus"}, UsageError),
        ({"executor": "process:workers=none-of-it"}, UsageError),
        ({"target_ms": -1.0}, UsageError),
        ({"resolution": 3}, DataError),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_stored(change, error, store, tmp_path):
    with pytest.raises(error):
        new_search(replace(CONFIG, **change), store, tmp_path)
    assert store.searches() == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "../x"},
        {"name": ""},
        {"trials": 0},
        {"seconds": 0.0},
        {"reward": "softish"},
        {"reward": "1,2,3"},
        {"reward": "nan,nan"},
        {"reward": "5,5"},
        {"reward": "-inf,0"},
        {"seed": 2**32},
        {"seed": -1},
        {"name": "cache"},
        {"name": "store.db"},
        {"reward": "accuracy"},
    ],
)
def test_a_wrong_configuration_is_refused(wrong):
    with pytest.raises(UsageError):
        replace(CONFIG, **wrong)


def test_a_name_that_is_taken_is_refused_before_data_are_read(trained, timed, store, tmp_path):
    store.create_search("s", {})
    with pytest.raises(StoreError, match="resume s"):
        new_search(replace(CONFIG, data="nowhere"), store, tmp_path)


def test_configuration_survives_json_with_its_defaults():
    plain = config_to_json(replace(CONFIG, limits=("params<=2e6",)))
    assert plain["seed"] == 0  # a later version may have another default
    assert config_from_json(plain) == replace(CONFIG, limits=("params<=2e6",))
    with pytest.raises(UsageError, match="has the fields"):
        config_from_json({**plain, "trails": 3})


def test_rewards_are_soft_hard_accuracy_or_exponents():
    assert replace(CONFIG, reward="soft").exponents() == (-0.07, -0.07)
    assert replace(CONFIG, reward="hard").exponents() == (0.0, -1.0)
    assert replace(CONFIG, reward="-0.1,-2").exponents() == (-0.1, -2.0)


def test_reward_accuracy_ignores_latency(trained, timed, store, tmp_path):
    trials = _run(replace(CONFIG, reward="accuracy", target_ms=None), store, tmp_path)
    assert all(t.reward == t.metrics["accuracy"] for t in trials)


def test_a_network_that_cannot_be_built_is_a_failed_trial(trained, timed, store, tmp_path, monkeypatch):
    cost = Evaluator.cost
    calls = []

    def cost_or_crash(self, spec):
        calls.append(spec)
        if len(calls) == 2:
            raise AssertionError("images of 224 pixels, please")
        return cost(self, spec)

    monkeypatch.setattr(Evaluator, "cost", cost_or_crash)
    trials = _run(CONFIG, store, tmp_path)
    assert [t.state for t in trials].count(State.FAILED) == 1
    assert "images of 224 pixels, please" in trials[1].error


def test_data_that_changed_are_refused_on_resume(trained, timed, store, tmp_path):
    folder = tmp_path / "photos"
    for name, shade in (("cat", 40), ("dog", 200)):
        (folder / name).mkdir(parents=True)
        for i in range(12):
            Image.new("L", (8, 8), shade + i).save(folder / name / f"{i}.png")
    config = replace(CONFIG, data=str(folder), trials=2)
    assert len(_run(config, store, tmp_path)) == 2
    assert len(open_search("s", store, tmp_path, trials=3).run()) == 3
    Image.new("L", (8, 8), 0).save(folder / "cat" / "new.png")
    with pytest.raises(DataError, match="has changed since"):
        open_search("s", store, tmp_path)


def test_another_device_is_pointed_out_on_resume(trained, timed, store, tmp_path):
    search = new_search(CONFIG, store, tmp_path)
    store.set_config("s", config_to_json(replace(search.config, measured_on="an abacus")))
    notes = []
    open_search("s", store, tmp_path, Listener(note=notes.append))
    assert "measured on an abacus; now it is runtime OnnxRuntime(threads=1)" in notes[0]


def test_recorded_configuration_writes_plugins_out(trained, timed, store, tmp_path):
    config = new_search(replace(CONFIG, strategy="ppo:batch=3"), store, tmp_path).config
    assert "batch=3" in config.strategy
    assert "lr=0.005" in config.strategy
    assert "batch_size=64" in config.recipe
    assert open_search("s", store, tmp_path).config == config


def test_a_folder_called_digits_does_not_hide_the_digits(trained, timed, store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").mkdir()
    assert new_search(CONFIG, store, tmp_path).config.data == "digits"


def test_deleting_a_running_search_is_refused(trained, timed, store, tmp_path):
    new_search(CONFIG, store, tmp_path)
    with searches._sole_runner(store, tmp_path, "s"):
        with pytest.raises(StoreError, match="one process at a time"):
            delete_search("s", store, tmp_path)
        with pytest.raises(StoreError, match="one process at a time"):
            open_search("s", store, tmp_path, trials=50)
    assert store.config("s")["trials"] == 12
    delete_search("s", store, tmp_path)
    assert store.searches() == []
    assert not (tmp_path / "s").exists()


def test_a_device_elsewhere_is_asked_for_more_only_when_the_old_trials_are_told(
    trained, timed, store, tmp_path, monkeypatch
):
    monkeypatch.setattr(LocalTransport, "is_here", False)
    train, calls = module.run_training, []

    def train_or_stop(job):
        calls.append(job)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return train(job)

    monkeypatch.setattr(module, "run_training", train_or_stop)
    with pytest.raises(KeyboardInterrupt):
        _run(CONFIG, store, tmp_path)
    trials = open_search("s", store, tmp_path).run()
    assert [t.number for t in trials] == list(range(12))
    assert {t.state for t in trials} == {State.COMPLETE}


def test_flags_of_a_timing_are_counted_in_the_trial(trained, timed, store, tmp_path, monkeypatch):
    latency = Evaluator.latency
    flagged = lambda self, spec, protocol=None: replace(latency(self, spec), flags=("contended",))  # noqa: E731
    monkeypatch.setattr(Evaluator, "latency", flagged)
    assert all(t.metrics["latency_flags"] == 1 for t in _run(replace(CONFIG, trials=2), store, tmp_path))


def test_a_damaged_stored_training_is_named(trained, timed, store, tmp_path, monkeypatch):
    _run(replace(CONFIG, trials=1), store, tmp_path)
    get = store.get
    monkeypatch.setattr(store, "get", lambda kind, key: {"acc": "high"} if kind == "accuracy" else get(kind, key))
    with pytest.raises(StoreError, match="is numbers and accuracy"):
        _run(replace(CONFIG, name="again", trials=1), store, tmp_path)


# Baselines


def test_baselines_share_all_but_the_choice_of_networks(trained, timed, store, tmp_path):
    config = replace(CONFIG, strategy="regularized-evolution:population=4,tournament=2", trials=6, baselines=True)
    search = new_search(config, store, tmp_path)
    search.run()
    found = {s.config.name: s.run() for s in baselines(search)}
    assert list(found) == ["s.zoo", "s.random"]
    own, zoo, random = (store.config(name) for name in ("s", "s.zoo", "s.random"))
    differing = {"name", "strategy", "space", "trials", "limits", "baselines"}
    for other in (zoo, random):
        assert {k: v for k, v in other.items() if k not in differing} == {
            k: v for k, v in own.items() if k not in differing
        }
    assert random["space"] == own["space"]
    assert random["trials"] == own["trials"] == len(found["s.random"]) == 6
    names = [search_space(zoo).values(trial.architecture)["network"] for trial in found["s.zoo"]]
    assert {"mobilenet-v2 x0.25", "mnasnet-a1 x0.25", "mnasnet-small x1", "efficientnet-b0 x1"} <= set(names)
    assert all(trial.state is State.COMPLETE for trials in found.values() for trial in trials)


def search_space(config):
    return spaces.create(config["space"], {"width": config["width"], "resolution": 8}).build()


def test_interrupted_baselines_go_on_and_get_a_raised_budget(trained, timed, store, tmp_path):
    config = replace(CONFIG, strategy="regularized-evolution:population=4,tournament=2", trials=3, baselines=True)
    search = new_search(config, store, tmp_path)
    search.run()
    next(baselines(search)).run()  # the zoo; then somebody pulls the plug
    paid = len(trained)
    again = open_search("s", store, tmp_path, trials=5)
    again.run()
    for baseline in baselines(again):
        baseline.run()
    assert len(store.trials("s.random")) == 5
    assert len(trained) - paid < 2 + 5  # random search shares its first samples with evolution


def test_baselines_can_be_asked_for_afterwards(trained, timed, store, tmp_path):
    new_search(CONFIG, store, tmp_path).run()
    assert not list(baselines(open_search("s", store, tmp_path)))
    found = open_search("s", store, tmp_path, with_baselines=True)
    assert [b.config.name for b in baselines(found)] == ["s.zoo"]  # a random search needs no other beside it
    assert store.config("s")["baselines"] is True


def test_a_model_of_the_users_is_a_baseline(trained, timed, store, tmp_path):
    config = replace(CONFIG, trials=1, baselines=True, models=("timm:mobilenetv3_small_050",))
    search = new_search(config, store, tmp_path)
    zoo = next(iter(baselines(search)))
    assert "timm:mobilenetv3_small_050" in zoo.space.decisions[0].choices


def test_a_model_that_is_none_is_found_before_anything_runs(store, tmp_path):
    for model, problem in (("no colon", "module:factory"), ("no_such_module:net", "No module named")):
        with pytest.raises(SpecError, match=problem):
            new_search(replace(CONFIG, baselines=True, models=(model,)), store, tmp_path)
    assert store.searches() == []


# Tuning


def test_what_is_open_is_measured_once_and_recorded(trained, timed, store, tmp_path):
    config, notes = replace(CONFIG, recipe="search", trials=1), []
    first = new_search(config, store, tmp_path, Listener(note=notes.append))
    assert first.task.tuned.layout != "auto"
    assert first.task.tuned.precision != "auto"
    assert sum("was the fastest here" in note for note in notes) == 1
    recorded = recipes.create(store.config("s")["recipe"])
    assert (recorded.layout, recorded.precision) == (first.task.tuned.layout, first.task.tuned.precision)
    new_search(replace(config, name="t"), store, tmp_path, Listener(note=notes.append))
    assert sum("Trying how training" in note for note in notes) == 1
    assert open_search("s", store, tmp_path).task.tuned == recorded


def test_what_is_fixed_is_not_tried(trained, timed, store, tmp_path):
    notes = []
    new_search(CONFIG, store, tmp_path, Listener(note=notes.append))
    assert not any("fastest" in note for note in notes)


# Interrupted trainings


def test_an_interrupted_training_goes_on_from_its_state(timed, store, tmp_path, monkeypatch):
    paths = []

    def train(job):
        paths.append(job.state)
        if len(paths) == 1:
            job.state.write_bytes(b"half-way")
            raise KeyboardInterrupt
        assert len(paths) != 2 or job.state.read_bytes() == b"half-way"
        return {"accuracy": 0.5, "train_seconds": 1.0}

    monkeypatch.setattr(module, "run_training", train)
    with pytest.raises(KeyboardInterrupt):
        _run(replace(CONFIG, trials=2), store, tmp_path)
    open_search("s", store, tmp_path).run()
    assert paths[0] == paths[1] != paths[2]
    assert not paths[0].exists()
