"""What one candidate costs, and that it is paid for once: real digits, real networks."""

import json
import math
import pickle
from dataclasses import asdict, replace

import pytest
import torch
from small_networks import SMALL

from paretonas.device import Device, parse_device
from paretonas.device.calibration import reference_interface
from paretonas.errors import StoreError, TrainingError, UnknownNameError
from paretonas.evaluation import keys
from paretonas.evaluation.device_job import run_measuring
from paretonas.evaluation.evaluator import INLINE, WORKERS, Evidence
from paretonas.evaluation.job import Folders, Schooling, run_training
from paretonas.evaluation.latencies import QUICK, RECORD, latency_metrics
from paretonas.evaluation.trained import TrainedEvaluator
from paretonas.latency import Latency
from paretonas.loop.listener import SILENT, Listener
from paretonas.network.cost import spec_cost
from paretonas.space import spec_from_json, spec_hash, spec_to_json
from paretonas.store import Store
from paretonas.task import recipes
from paretonas.task.classification import Classification
from paretonas.zoo import zoo_spec

SPEC = SMALL
RECIPE = recipes.create("search:epochs=0.5,layout=channels-last,precision=float32")
SCHOOLING = Schooling(RECIPE, seed=0, torch_device="cpu", width=0.25)
LATENCY = Latency((0.002,) * 4, (0.002,) * 4, (0.001,) * 4, (0.001,) * 4, calibrated=0.003)
"""Six milliseconds."""
TRAINED = {"accuracy": 0.5, "train_loss": 1.25, "train_seconds": 3.0, "examples_per_second": 100.0}


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    task = Classification("digits", train_images=100, val_images=100)
    task.prepare(tmp_path_factory.mktemp("data"))
    return task


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store.db")


@pytest.fixture
def make(task, store, tmp_path):
    """An evaluator of one device, or with changes."""

    def make(devices=("onnxruntime",), schooling=SCHOOLING, is_looking=False, cache=store, task=task):
        parsed = tuple(map(parse_device, devices))
        folders = Folders(tmp_path / "cache", tmp_path / "run")
        return TrainedEvaluator(task, parsed, schooling, cache, folders, is_looking)

    return make


def calibrate(evaluator, seconds=0.003):
    """Put calibrations into the cache, so that nothing has to be timed."""
    for device in evaluator.devices:
        key = keys.calibration(reference_interface(evaluator.task.interface), device.identity)
        key.put(evaluator._cache, asdict(replace(LATENCY, calibrated=seconds)))


def stage(evaluator, name):
    return {stage.name: stage for stage in evaluator.stages()}[name]


def call(stage, spec):
    work = stage.call(spec)
    return stage.keep(spec, work.function(*work.arguments))


# Stages


def test_stages_come_cheapest_first_and_say_where_they_run(make):
    evaluator = make(("phone=onnxruntime", "desk=torch"), replace(SCHOOLING, shares=(0.25, 1.0)), is_looking=True)
    stages = evaluator.stages()
    assert [(s.name, s.lane, s.share) for s in stages] == [
        ("cost", "device:phone", None),
        ("untrained", "device:phone", None),
        ("latency_ms.phone", "device:phone", None),
        ("latency_ms.desk", "device:desk", None),
        ("training/0.25", WORKERS, 0.25),
        ("training", WORKERS, 1.0),
    ]
    assert stages[2].gives == ("latency_ms.phone", "latency_spread.phone", "latency_flags.phone")
    assert stages[5].gives[0] == "accuracy" == evaluator.quality
    assert evaluator.is_buildable


def test_a_stage_is_there_only_if_it_is_asked_for(make):
    assert [s.name for s in make().stages()] == ["cost", "latency_ms", "training"]
    assert [(s.name, s.lane) for s in make(devices=()).stages()] == [("cost", WORKERS), ("training", WORKERS)]


def test_costs_are_counted_and_not_kept(make, store):
    found = call(stage(make(), "cost"), SPEC)
    expected = spec_cost(SPEC, make().task.interface)
    assert (found.metrics["params"], found.metrics["macs"]) == (expected.params, expected.macs)
    assert all(isinstance(value, float) for value in found.metrics.values())
    assert found.id is None
    assert stage(make(), "cost").known(SPEC) is None
    assert store.evaluations("cost") == []


def test_a_training_is_a_job_that_says_everything(make, task, tmp_path):
    evaluator = make(schooling=replace(SCHOOLING, seed=3, shares=(0.25, 1.0)))
    early, whole = (stage(evaluator, name).call(SPEC) for name in ("training/0.25", "training"))
    assert early.function is whole.function is run_training
    (job,), (full,) = early.arguments, whole.arguments
    assert replace(job, until=1.0) == full
    assert (job.until, job.seed, job.recipe, job.torch_device, job.is_final) == (0.25, 3, RECIPE, "cpu", False)
    assert spec_from_json(job.spec) == SPEC
    assert job.task is task
    assert job.state == tmp_path / "run" / f"{spec_hash(SPEC)}.search-state"
    assert job.checkpoint is None


def test_a_measurement_is_a_job_that_says_everything(make, task, tmp_path):
    evaluator = make(("phone=onnxruntime:threads=2",))
    calibrate(evaluator)
    work = stage(evaluator, "latency_ms.phone").call(SPEC)
    (job,) = work.arguments
    assert work.function is run_measuring
    assert (job.device, job.interface, job.calibrated) == ("phone=onnxruntime:threads=2", task.interface, 0.003)
    assert job.protocol == QUICK
    assert job.folder == tmp_path / "cache"
    assert spec_from_json(job.spec) == SPEC


@pytest.mark.parametrize(("name", "result"), [("latency_ms", LATENCY), ("training", TRAINED)])
def test_what_was_paid_for_is_known_and_kept_under_its_id(make, store, name, result):
    one = stage(make(), name)
    assert one.known(SPEC) is None
    kept = one.keep(SPEC, result)
    known = stage(make(), name).known(SPEC)  # of another session
    assert known == kept
    kind, key, _ = store.evaluation(known.id)
    assert kind == name.partition("_")[0]
    assert key["spec"] == spec_hash(SPEC)
    assert one.known(zoo_spec("mnasnet-a1", 0.35, 8)) is None


def test_a_latency_is_kept_with_its_raw_times_and_told_in_three_metrics(make, store):
    flagged = replace(LATENCY, flags=("contended", "preempted", "summary-only"))
    kept = stage(make(("phone=onnxruntime",)), "latency_ms.phone").keep(SPEC, flagged)
    assert kept.metrics == {
        "latency_ms.phone": pytest.approx(6.0),
        "latency_spread.phone": 0.0,
        "latency_flags.phone": 2.0,
    }
    _, key, value = store.evaluation(kept.id)
    assert value["candidate_wall"] == [0.002] * 4
    assert (key["precision"], key["pairs"]) == ("float32", 10)


def test_flags_of_a_timing_are_counted():
    assert latency_metrics(LATENCY, "")["latency_flags"] == 0.0
    assert latency_metrics(replace(LATENCY, flags=("contended",)), "")["latency_flags"] == 1.0
    assert latency_metrics(replace(LATENCY, flags=("summary-only",)), "")["latency_flags"] == 0.0


def test_latencies_of_two_devices_are_kept_apart(make):
    evaluator = make(("phone=onnxruntime", "desk=torch"))
    stage(evaluator, "latency_ms.phone").keep(SPEC, LATENCY)
    assert stage(evaluator, "latency_ms.desk").known(SPEC) is None
    assert stage(make(("onnxruntime",)), "latency_ms").known(SPEC) is not None  # whatever it is called


def test_shares_and_settings_of_trainings_are_kept_apart(make, task):
    schooling = replace(SCHOOLING, shares=(0.25, 1.0))
    stage(make(schooling=schooling), "training/0.25").keep(SPEC, TRAINED)
    assert stage(make(schooling=schooling), "training/0.25").known(SPEC).metrics == TRAINED
    assert stage(make(schooling=schooling), "training").known(SPEC) is None
    for change in ({"seed": 1}, {"recipe": replace(RECIPE, lr=0.5)}):
        assert stage(make(schooling=replace(schooling, **change)), "training/0.25").known(SPEC) is None
    other = Classification("digits", train_images=50, val_images=100)
    assert stage(make(schooling=schooling, task=other), "training/0.25").known(SPEC) is None


def test_settings_that_decide_nothing_do_not_keep_apart(make):
    stage(make(), "training").keep(SPEC, TRAINED)
    renamed = replace(RECIPE, about="another line")
    alike = replace(SCHOOLING, recipe=renamed, torch_device="auto", width=1.0, shares=(0.5, 1.0))
    assert stage(make(("torch",), alike), "training").known(SPEC).metrics == TRAINED


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_metric_that_is_no_finite_number_is_not_kept(make, store, value):
    with pytest.raises(TrainingError, match="A metric is a finite number, but accuracy is"):
        stage(make(), "training").keep(SPEC, {**TRAINED, "accuracy": value})
    assert store.evaluations("training") == []


def test_a_metric_that_is_not_declared_is_not_kept(make, store):
    with pytest.raises(UnknownNameError, match="No metric is called 'charm'"):
        stage(make(), "training").keep(SPEC, {**TRAINED, "charm": 1.0})
    assert store.evaluations("training") == []


@pytest.mark.parametrize(
    ("name", "kind", "value"),
    [
        ("untrained", "untrained", {"synflow": "large"}),
        ("untrained", "untrained", {"synflow": 1.0}),
        ("training", "training", {"train_loss": 0.1}),
        ("training", "training", {"accuracy": "high"}),
        ("training", "training", {"accuracy": math.nan}),
        ("training", "training", {"accuracy": None}),
        ("latency_ms", "latency", {"candidate_wall": [1.0]}),
        ("latency_ms", "latency", {}),
    ],
)
def test_a_damaged_row_is_a_store_error(make, store, name, kind, value):
    evaluator = make(is_looking=True)
    results = {"training": TRAINED, "latency_ms": LATENCY}
    if name in results:
        stage(evaluator, name).keep(SPEC, results[name])
    else:
        call(stage(evaluator, name), SPEC)
    ((key, _),) = store.evaluations(kind)
    store.put(kind, key, value)
    with pytest.raises(StoreError, match=r"A stored latency|What is stored of"):
        stage(evaluator, name).known(SPEC)


def test_forgetting_removes_what_a_training_would_have_gone_on_from(make, tmp_path):
    evaluator = make()
    (job,) = stage(evaluator, "training").call(SPEC).arguments
    evaluator.forget(SPEC)  # there is nothing yet
    job.state.parent.mkdir()
    job.state.touch()
    evaluator.forget(zoo_spec("mnasnet-a1", 0.35, 8))
    assert job.state.exists()
    evaluator.forget(SPEC)
    assert not job.state.exists()


def test_calls_for_other_processes_pickle(make):
    evaluator = make(("phone=onnxruntime", "desk=torch"))
    calibrate(evaluator)
    for one in evaluator.stages():
        if one.lane != INLINE:
            work = pickle.loads(pickle.dumps(one.call(SPEC)))
            assert work.function is one.call(SPEC).function
            assert json.dumps(dict(work.arguments[0].spec)) == json.dumps(spec_to_json(SPEC))


# Untrained networks


@pytest.fixture
def looks(make):
    """Values of the untrained metrics of a spec under a cache, and how often they were computed."""

    def looks(cache, spec=SPEC, **change):
        evaluator = make(is_looking=True, cache=cache, **change)
        before = len(cache.evaluations("untrained"))
        return evaluator.untrained(spec), len(cache.evaluations("untrained")) - before

    return looks


def test_an_untrained_network_is_looked_at_once_for_a_spec_data_and_seed(make, looks, store):
    first, computed = looks(store)
    assert first.keys() == {"synflow", "jacobian_covariance", "gradient_norm"}
    assert computed == 1
    assert looks(store) == (first, 0)
    assert stage(make(is_looking=True), "untrained").known(SPEC).metrics == first
    other, computed = looks(store, schooling=replace(SCHOOLING, seed=1))
    assert other != first
    assert computed == 1
    assert looks(store, task=Classification("digits", train_images=50, val_images=100))[1] == 1
    assert looks(store, zoo_spec("mnasnet-a1", 0.35, 8))[1] == 1


def test_what_is_seen_of_an_untrained_network_depends_on_the_seed_alone(looks):
    torch.manual_seed(5)
    first, state = looks(Store("sqlite://"))[0], torch.get_rng_state()
    torch.manual_seed(6)
    assert looks(Store("sqlite://"))[0] == first
    torch.manual_seed(5)
    assert torch.equal(torch.get_rng_state(), state)


# About


def test_an_evaluator_says_what_it_learns_from_and_where_it_measures(make, task):
    about = make(("phone=onnxruntime", "desk=torch:threads=2")).about()
    assert about.digest == task.digest
    assert about.lines[0].startswith("on phone=onnxruntime (")
    assert " and desk=torch:threads=2 (" in about.lines[0]
    assert about.lines[1:] == (*task.about(), "0.5 epochs a trial")
    assert "device phone, runtime OnnxRuntime(threads=1, precision='float32', keep=())" in about.measured_on
    assert "; device desk, runtime TorchRuntime(threads=2)" in about.measured_on
    assert make().about().measured_on.startswith("runtime OnnxRuntime(threads=1, precision='float32', keep=())")


def test_a_calibration_is_made_once_before_the_first_trial(make, store, monkeypatch):
    made = []

    def measure(self, candidate, folder, calibrated, protocol):
        made.append(self.text)
        return replace(LATENCY, calibrated=1.0)

    monkeypatch.setattr(Device, "measure", measure)  # as the machine may be busy
    counted = []
    evaluator = make(("phone=onnxruntime", "desk=torch"))
    evaluator.prepare(Listener(counting=lambda *what: counted.append(what)))
    assert set(made) == {"onnxruntime", "torch"}
    before = len(made)
    make(("desk=torch", "phone=onnxruntime")).prepare(SILENT)
    assert len(made) == before
    assert len(store.evaluations("calibration")) == 2


def test_the_usual_latency_is_that_of_a_typical_network(make, store):
    evaluator = make(("phone=onnxruntime", "desk=torch"))
    assert evaluator.typical() == zoo_spec("mobilenet-v2", 0.25, 8)
    for device, factor in zip(evaluator.devices, (1.0, 2.0), strict=True):
        flags = ("contended",) if factor == 2 else ()
        latency = replace(LATENCY, calibrated=0.003 * factor, flags=flags)
        evaluator.latency_key(evaluator.typical(), device, RECORD).put(store, asdict(latency))
    notes = []
    listener = Listener(note=notes.append)
    assert evaluator.usual_ms("latency_ms.phone", listener) == pytest.approx(6.0)
    assert evaluator.usual_ms("latency_ms.desk", listener) == pytest.approx(12.0)
    assert notes == [
        "No target latency was given: aiming at 6 ms on phone, what a typical network takes.",
        "No target latency was given: aiming at 12 ms on desk, what a typical network takes (flagged contended).",
    ]


def test_seconds_a_trial_are_estimated_from_a_few_steps(make):
    threads = torch.get_num_threads()
    short, long = make(), make(schooling=replace(SCHOOLING, recipe=replace(RECIPE, epochs=1000)))
    assert 0 < short.seconds_a_trial() < long.seconds_a_trial()
    assert torch.get_num_threads() == threads


def test_a_training_that_diverges_at_once_has_no_estimate(make):
    threads = torch.get_num_threads()
    wild = replace(RECIPE, lr=1e30, clip=0.0)
    assert make(schooling=replace(SCHOOLING, recipe=wild)).seconds_a_trial() is None
    assert torch.get_num_threads() == threads


def test_how_far_a_training_is_can_be_read_until_its_trial_ends(make):
    evaluator = make(schooling=replace(SCHOOLING, shares=(0.25, 1.0)))
    quarter, whole = stage(evaluator, "training/0.25"), stage(evaluator, "training")
    job = quarter.call(SPEC).arguments[0]
    assert quarter.done(SPEC) is None
    job.state.parent.mkdir(parents=True)
    job.progress.write_text("0.125000")
    assert (quarter.done(SPEC), whole.done(SPEC)) == (0.5, 0.125)
    evaluator.forget(SPEC)
    assert quarter.done(SPEC) is None
    assert stage(evaluator, "cost").done(SPEC) is None


# Files that are made ahead


def test_files_are_made_ahead_where_that_takes_long_or_the_device_is_elsewhere(make):
    names = [s.name for s in make(("far=onnxruntime@ssh:far", "near=onnxruntime", "slow=ncnn")).stages()]
    assert names == [
        "cost", "conversion.far", "conversion.slow", "latency_ms.far", "latency_ms.near", "latency_ms.slow", "training"
    ]  # fmt: skip
    (conversion,) = (s for s in make(("onnxruntime@ssh:phone",)).stages() if s.name == "conversion")
    assert (conversion.lane, conversion.gives) == (WORKERS, ())


def test_a_file_is_made_once_for_all_devices_of_its_format_and_goes_with_the_trial(make, tmp_path):
    evaluator = make(("one=ncnn", "two=ncnn:threads=2"))
    one, two = stage(evaluator, "conversion.one"), stage(evaluator, "conversion.two")
    assert one.known(SPEC) is two.known(SPEC) is None
    assert call(one, SPEC).metrics == {}
    assert one.known(SPEC) == two.known(SPEC) == Evidence({})
    converted = tmp_path / "cache" / "converted"
    assert len(list(converted.iterdir())) == 1
    (work,) = one.call(SPEC).arguments
    assert pickle.loads(pickle.dumps(work)) == work
    assert str(tmp_path) not in repr(work)  # it may run on any machine
    evaluator.forget(SPEC)
    assert list(converted.iterdir()) == []


def test_what_was_made_ahead_is_what_is_measured(make, tmp_path, monkeypatch):
    """And nothing is made again, unless it is gone."""
    evaluator = make(("ncnn",))
    calibrate(evaluator)
    conversion, latency = stage(evaluator, "conversion"), stage(evaluator, "latency_ms")
    call(conversion, SPEC)
    (file,) = (tmp_path / "cache" / "converted").iterdir()
    measured, made = [], []
    monkeypatch.setattr(Device, "measure", lambda device, one, *rest: measured.append(one.path) or LATENCY)
    monkeypatch.setattr(Device, "export", lambda *asked, **more: made.append(asked))
    call(latency, SPEC)
    assert (measured, made) == ([file], [])
    assert conversion.known(SPEC) is not None
    file.unlink()
    assert conversion.known(SPEC) is not None  # its latency is known
