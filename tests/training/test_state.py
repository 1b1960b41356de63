"""Trainings that are stopped anywhere go on to the identical sequence of losses."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from image_tasks import noisy
from small_networks import SMALL

from paretonas.data.augment import scoring_batches
from paretonas.errors import MachineError
from paretonas.task.recipe import Recipe
from paretonas.task.recipe_book import MNASNET, SEARCH, SMALL_IMAGE
from paretonas.training.fit import Session, as_run, fit
from paretonas.training.state import Begun, StateFile

RECIPES = {
    "search": replace(SEARCH, batch_size=8),
    "small-image": replace(SMALL_IMAGE, epochs=2, batch_size=8),
    "mnasnet": replace(MNASNET, epochs=2, batch_size=8),
    "adamw": Recipe(optimizer="adamw", batch_size=8, lr=0.01, mixup=0.2, cutmix=0.5, dropout=0.3, ema=0.9),
}


class StopError(Exception):
    pass


def _model(recipe):
    torch.manual_seed(1)
    return noisy().network(SMALL, recipe)


def _train(recipe, state=None, stop=None, until=1.0, on_step=None):
    def step(done, steps):
        if on_step is not None:
            on_step(done)
        if done == stop:
            raise StopError

    return fit(_model(recipe), noisy(), recipe, 7, Session(state=state, until=until, on_step=step))


@cache
def _whole(name):
    return _train(RECIPES[name])


def _outputs(model):
    run = as_run(model)
    return np.concatenate([run((x.numpy(),))[0] for x in scoring_batches(noisy().images.val)])


@pytest.mark.parametrize("name", RECIPES)
def test_stopped_training_goes_on_to_the_identical_losses(name, tmp_path):
    recipe, file = RECIPES[name], tmp_path / "training.state"
    whole = _whole(name)
    for stop in (3, 7):
        with pytest.raises(StopError):
            _train(recipe, StateFile(file, {"recipe": name}, every=0.0), stop)
    resumed = _train(recipe, StateFile(file, {"recipe": name}, every=0.0))
    assert resumed.losses == whole.losses
    assert len(whole.losses) == 10
    assert np.array_equal(_outputs(resumed.model), _outputs(whole.model))


def test_resumed_training_makes_only_the_steps_that_are_left(tmp_path):
    file, steps = tmp_path / "training.state", []
    with pytest.raises(StopError):
        _train(RECIPES["search"], StateFile(file, {}, every=0.0), stop=6)
    _train(RECIPES["search"], StateFile(file, {}, every=0.0), on_step=steps.append)
    assert steps == [6, 7, 8, 9, 10]  # the state is written after a step is counted


@pytest.mark.parametrize("name", ["search", *(pytest.param(n, marks=pytest.mark.slow) for n in list(RECIPES)[1:])])
def test_a_training_in_stages_makes_the_identical_losses(name, tmp_path):
    recipe, file, lengths = RECIPES[name], tmp_path / "training.state", []
    for until in (1 / 9, 1 / 3, 1.0):
        part = _train(recipe, StateFile(file, {}), until=until)
        lengths.append(len(part.losses))
        assert part.examples == 8 * len(part.losses)
    whole = _whole(name)
    assert lengths == [1, 3, 10]
    assert part.losses == whole.losses
    assert np.array_equal(_outputs(part.model), _outputs(whole.model))


def test_a_stage_that_was_finished_is_scored_without_another_step(tmp_path):
    steps = []
    for _ in range(2):
        part = _train(RECIPES["search"], StateFile(tmp_path / "training.state", {}), until=0.5, on_step=steps.append)
    assert steps == [1, 2, 3, 4, 5]
    assert len(part.losses) == 5


@pytest.mark.parametrize("damage", ["other identity", "truncated", "not ours", "missing"])
def test_state_that_is_not_this_trainings_is_not_used(damage, tmp_path):
    file = tmp_path / "training.state"
    with pytest.raises(StopError):
        _train(RECIPES["search"], StateFile(file, {"seed": 1}, every=0.0), stop=6)
    if damage == "truncated":
        file.write_bytes(file.read_bytes()[:200])
    elif damage == "not ours":
        file.write_bytes(b"\x80\x04weights")
    elif damage == "missing":
        file.unlink()
    state = StateFile(file, {"seed": 2 if damage == "other identity" else 1}, every=1e9)
    assert _train(RECIPES["search"], state).losses == _whole("search").losses


def test_state_is_written_when_it_is_due_only(tmp_path):
    file = tmp_path / "training.state"
    _train(RECIPES["search"], StateFile(file, {}, every=1e9))
    assert not file.exists()


def test_state_that_cannot_be_written_is_said_and_what_was_there_stays(tmp_path):
    import resource

    file, before = tmp_path / "training.state", resource.getrlimit(resource.RLIMIT_FSIZE)
    with pytest.raises(StopError):
        _train(RECIPES["search"], StateFile(file, {}, every=0.0), stop=3)
    kept = file.read_bytes()
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(MachineError, match=r"training\.state cannot be written: File too large"):
            _train(RECIPES["search"], StateFile(file, {}, every=0.0))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert file.read_bytes() == kept
    assert list(tmp_path.iterdir()) == [file]


def test_what_a_task_keeps_is_part_of_the_state(tmp_path):
    model, file = torch.nn.Linear(2, 2), StateFile(tmp_path / "training.state", {})
    optimizer = torch.optim.SGD(model.parameters())
    hidden = torch.randn(3, 2, 4).bfloat16()
    file.save(Begun((1.0,), 2.0, {"h": hidden}), {"model": model}, optimizer)
    begun = file.load({"model": model}, optimizer)
    assert torch.equal(begun.kept["h"], hidden)
    assert begun.kept["h"].dtype == hidden.dtype
