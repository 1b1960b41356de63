"""A morph: a search whose trials are a network and what became of its widths."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from abacus import CONFIG
from small_networks import SMALL

from paretonas.errors import StoreError, UsageError, WorkError
from paretonas.evaluation.morph_job import alive_from_json, network_of
from paretonas.evaluation.morphing import MorphingEvaluator
from paretonas.evaluation.widening import drawn_widths, estimable, widen, widen_measured
from paretonas.export.checkpoint import load_checkpoint, save_checkpoint
from paretonas.loop.listener import Listener
from paretonas.network import build
from paretonas.network.layout import Layout
from paretonas.network.operations import operations
from paretonas.network.widths import spec_layout
from paretonas.registry import Selection
from paretonas.search.config import DeviceConfig, SearchConfig
from paretonas.search.finalists import train_trials
from paretonas.search.finish import Finishing
from paretonas.search.morph_config import MorphConfig
from paretonas.search.search import new_search, open_search
from paretonas.search.sections import config_from_json, config_to_json
from paretonas.search.widths import network_spec
from paretonas.space import Interface, spec_to_json
from paretonas.space.widths import WidthGroup, WidthsSpec, width_space
from paretonas.task import recipes
from paretonas.trial import State
from paretonas.zoo import zoo_spec

TUNED = {"layout": "channels-last", "precision": "float32"}
RECIPE = Selection("morph", {"epochs": 6.0, "batch_size": 20, "warmup": 0.0, "lr": 1.0, **TUNED})


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import json

    file = tmp_path_factory.mktemp("network") / "small.json"
    file.write_text(json.dumps(spec_to_json(SMALL)))
    return file


@pytest.fixture
def config(network: Path) -> SearchConfig:
    space = Selection("widths", {"network": str(network)})
    return replace(
        CONFIG,
        space=space,
        strategy=Selection("enumeration"),
        morph=MorphConfig(recipe=RECIPE, strength=0.3, multiple=1),
    )


def test_a_morph_of_equal_cost_has_other_widths(config, store, tmp_path):
    notes = []
    search = new_search(config, store, tmp_path, Listener(note=notes.append))
    (phase,) = search.evaluator.phases()
    assert "which channels are spared" in phase.what
    before, after = search.run()
    assert before.state is after.state is State.COMPLETE
    assert search.space.decode(before.architecture) == SMALL
    spec = search.space.decode(after.architecture)
    assert isinstance(spec, WidthsSpec)
    assert spec.base == SMALL
    told = after.context["morph"]
    assert tuple(told["widths"]) == spec.widths
    assert sum(told["alive"]) < sum(told["before"])
    assert 0.8 < after.metrics["macs"] / before.metrics["macs"] <= 1
    assert any("channels live" in note for note in notes)
    assert search.evaluator.phases() == ()
    assert not list(tmp_path.rglob("morph-*"))
    (file,) = tmp_path.rglob("step-1.safetensors")
    alive = load_checkpoint(file)
    assert alive.spec.widths == tuple(told["alive"])
    assert alive.info["metrics"]["accuracy"] > 0.2
    again = open_search("s", store, tmp_path).run()
    assert [trial.architecture for trial in again] == [before.architecture, after.architecture]


def test_finalists_are_trained_and_exported(config, store, tmp_path):
    search = new_search(config, store, tmp_path)
    trials = search.run()
    recipe = replace(recipes.create("search"), epochs=0.5, **TUNED)
    finalists = train_trials(search, trials, Finishing(recipe))
    assert all(finalist.files["onnx"].exists() for finalist in finalists)
    assert finalists[0].metrics["macs"] != finalists[1].metrics["macs"] or trials[0].spec_hash != trials[1].spec_hash


def test_stopped_in_the_middle_it_goes_on_to_the_same_widths(config, store, tmp_path, monkeypatch):
    whole = new_search(replace(config, name="whole", seed=3), store, tmp_path)
    whole.run()
    (key,) = [key for key, _ in store.evaluations("morph")]
    found = store.get("morph", key)
    steps = []

    def stop(self, done, steps_in_all):
        steps.append(done)
        if len(steps) == 5:
            raise KeyboardInterrupt

    other = type(store)(tmp_path / "other.db")
    search = new_search(replace(config, name="stopped", seed=3), other, tmp_path / "other")
    with monkeypatch.context() as patch:
        patch.setattr("paretonas.training.state.StateFile.is_due", True)
        patch.setattr("paretonas.training.progress.ProgressFile.step", stop)
        with pytest.raises(KeyboardInterrupt):
            search.run()
    assert list((tmp_path / "other").rglob("morph-*.state"))
    open_search("stopped", other, tmp_path / "other").run()
    again = other.get("morph", key)
    assert {**again, "seconds": 0} == {**found, "seconds": 0}


def test_a_budget_of_latency_is_measured_and_kept(config, store, tmp_path):
    latency = MorphConfig("latency_ms<=0.009", recipe=RECIPE, strength=0.3, samples=20, multiple=1)
    search = new_search(replace(config, morph=latency), store, tmp_path)
    before, after = search.run()
    assert after.metrics["latency_ms"] <= 0.009 < before.metrics["latency_ms"]


def test_layers_that_are_kept_stay(config, store, tmp_path):
    morph = replace(config.morph, keep=("stem", "head"))
    search = new_search(replace(config, morph=morph), store, tmp_path)
    _, after = search.run()
    told = after.context["morph"]
    widths = dict(zip(told["groups"], zip(told["before"], told["widths"], strict=True), strict=True))
    assert all(one == other for name, (one, other) in widths.items() if "stem" in name or "head" in name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"keep": ("nowhere",)}, "Layers are named"),
        ({"keep": (".",)}, "all are to be kept"),
        ({"grouping": "mean"}, "max or l2"),
        ({"recipe": Selection("search")}, "branch_scale=1"),
        ({"resource": Selection("roofline")}, "roofline is of a machine"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_stored(config, store, tmp_path, change, message):
    with pytest.raises(UsageError, match=message):
        new_search(replace(config, morph=replace(config.morph, **change)), store, tmp_path)
    assert store.searches() == []


def test_weights_are_those_of_the_network_as_it_was(config, store, tmp_path):
    file, other = tmp_path / "own.safetensors", tmp_path / "other.safetensors"
    fed = Interface.of_images(1, 8, 10)
    save_checkpoint(build(SMALL, fed), SMALL, fed, file, {})
    wide = SMALL.scaled(2.0)
    save_checkpoint(build(wide, fed), wide, fed, other, {})
    trials = new_search(replace(config, weights=str(file)), store, tmp_path).run()
    assert all(trial.state is State.COMPLETE for trial in trials)
    with pytest.raises(UsageError, match="shapes of the network that learns"):
        new_search(replace(config, name="other", weights=str(other)), store, tmp_path)


def test_a_budget_that_cannot_be_met_is_an_error_before_anything_learns(config, store, tmp_path):
    search = new_search(replace(config, morph=replace(config.morph, budget="macs<=10")), store, tmp_path)
    with pytest.raises(WorkError, match="one channel a layer"):
        search.run()
    assert not list(store.evaluations("morph"))


def test_a_budget_is_of_one_of_its_devices(config, store, tmp_path):
    named = replace(config, devices=(DeviceConfig("onnxruntime@abacus", "phone"),))
    search = new_search(replace(named, morph=replace(config.morph, budget="latency_ms.phone<=9")), store, tmp_path)
    assert "latency_ms at most 9" in " ".join(search.evaluator.about().lines)
    two = (DeviceConfig("onnxruntime@abacus", "phone"), DeviceConfig("onnxruntime@abacus:there", "pi"))
    with pytest.raises(UsageError, match="one of its devices"):
        new_search(
            replace(config, name="t", devices=two, morph=replace(config.morph, budget="latency_ms<=9")), store, tmp_path
        )


def test_a_file_of_a_spec_is_recorded_as_what_it_says(config, store, tmp_path, network):
    search = new_search(config, store, tmp_path)
    assert search.config.space.options["network"].startswith("{")


def test_layers_of_one_width_are_kept_together(config, store, tmp_path):
    morph = replace(config.morph, keep=(r"blocks\.1\.0\.body\.[67]",))
    search = new_search(replace(config, morph=morph), store, tmp_path)
    assert search is not None


@pytest.mark.parametrize(
    "wrong",
    [
        {"strength": -1.0}, {"strength": float("nan")}, {"threshold": 1.0}, {"multiple": 0},
        {"budget": "accuracy<=1"}, {"budget": "weight_bytes<=1e6"}, {"steps": 0}, {"samples": 3}, {"keep": ("(",)},
    ],
)  # fmt: skip
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(UsageError):
        MorphConfig(**wrong)


def test_a_morph_is_of_one_network_s_widths(config):
    with pytest.raises(UsageError, match="space of a network's widths"):
        replace(config, space=Selection("few"))
    with pytest.raises(UsageError, match="what its steps find"):
        replace(config, strategy=Selection("ppo"))
    with pytest.raises(UsageError, match="is of one network"):
        replace(config, limits=("macs<=1e6",))


def test_its_configuration_is_written_and_read(config):
    morph = MorphConfig("macs<=1e6", Selection("params"), 2, RECIPE, 0.5, 0.1, "l2", 40, 4, ("stem",), ("head",))
    assert config_from_json(config_to_json(replace(config, morph=morph))).morph == morph


def test_no_channel_alive_is_an_error(config, store, tmp_path, monkeypatch):
    monkeypatch.setattr("paretonas.evaluation.morph_job.alive", lambda vectors, sparsity: [[] for _ in vectors])
    with pytest.raises(WorkError, match="none did"):
        new_search(config, store, tmp_path).run()


LIMITS = ((1, 30), (4, 60), (0, 15))


def layout(*groups: WidthGroup) -> Layout:
    return Layout(groups, (), {})


def test_the_largest_multiplier_within_the_budget_is_found():
    groups = layout(WidthGroup("a", 10), WidthGroup("b", 20, multiple=4), WidthGroup("c", 5, is_removable=True))
    spent = sum
    multiplier, widths = widen(groups, (4, 8, 0), 30, spent, LIMITS)
    assert widths == (10, 20, 0)
    assert pytest.approx(multiplier, rel=0.05) == 2.5
    assert widen(groups, (10, 20, 5), 16, spent, LIMITS)[1] == (5, 8, 2)
    assert widen(groups, (4, 8, 0), 1e9, spent, LIMITS)[1] == (30, 60, 0)
    assert widen(groups, (4, 8, 5), 22, spent, ((1, 30), (4, 60), (5, 5)))[1] == (5, 12, 5)
    with pytest.raises(WorkError, match="one channel a layer"):
        widen(groups, (4, 8, 0), 3, spent, LIMITS)


WIDE = ((1, 40), (1, 80))


@pytest.mark.parametrize("disturbed", [None, 0, 1, 3])
def test_a_measured_budget_is_used_up_though_a_measurement_is_disturbed(disturbed):
    """What is measured grows otherwise than what is estimated, in another unit; one measurement takes twice as long."""
    groups, took = layout(WidthGroup("a", 10), WidthGroup("b", 20)), []

    def measured(widths):
        took.append(0.1 + 0.01 * sum(widths) ** 1.2 * (2 if len(took) == disturbed else 1))
        return took[-1]

    multiplier, widths = widen_measured(groups, (8, 20), 0.8, (measured, lambda widths: sum(widths) ** 2), WIDE)
    assert 0.9 * 0.8 <= 0.1 + 0.01 * sum(widths) ** 1.2 <= 0.8
    assert multiplier > 1
    assert len(took) <= 8


def test_a_measured_budget_that_nothing_keeps_is_an_error():
    groups = layout(WidthGroup("a", 10), WidthGroup("b", 20))
    with pytest.raises(WorkError, match="the machine is busy"):
        widen_measured(groups, (8, 20), 0.8, (lambda widths: 0.9, sum), WIDE)


def test_a_network_of_single_channels_has_the_operations_of_a_wide_one():
    fed = Interface.of_images(3, 32, 10)
    spec = zoo_spec("mnasnet-a1", 0.5, 32)
    found = spec_layout(spec, fed)

    def kinds(widths):
        return {operation.kind for operation in operations(network_of(spec, found, tuple(widths)), fed)}

    single = [1] * len(found.groups)
    assert "conv 5x5" in kinds(single) - kinds(found.widths)
    assert kinds(estimable(found, single)) <= kinds(found.widths)


def test_a_damaged_row_is_refused():
    with pytest.raises(StoreError, match="which channels live"):
        alive_from_json({"widths": "many"})


def test_a_space_of_widths_is_of_the_network_as_it_was():
    fed = Interface.of_images(3, 32, 10)
    found = spec_layout(SMALL, fed)
    space = width_space(SMALL, found.groups)
    seed = space.architecture([d.choices.index(w) for d, w in zip(space.decisions, found.widths, strict=True)])
    assert space.decode(seed) == SMALL
    assert len(drawn_widths(found, 10)) == 10
    other = WidthsSpec(SMALL, tuple(width + 1 for width in found.widths))
    with pytest.raises(Exception, match="as it was"):
        width_space(other, found.groups)


@pytest.mark.parametrize("text", ["mobilenet-v2", "timm:resnet18", "torchvision:resnet18", "mnasnet-a1:width=0.5"])
def test_networks_are_named_as_everywhere(text):
    assert network_spec(text, resolution=32) is not None


def test_its_evaluator_proposes_the_network_and_its_steps(config, store, tmp_path):
    search = new_search(replace(config, morph=replace(config.morph, steps=2)), store, tmp_path)
    trials = search.run()
    assert isinstance(search.evaluator, MorphingEvaluator)
    assert [trial.context.get("morph", {}).get("step") for trial in trials] == [None, 1, 2]
