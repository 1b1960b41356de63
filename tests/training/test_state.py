"""Trainings that are stopped anywhere go on to the identical sequence of losses."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from paretonas.data.images import Split
from paretonas.network import build
from paretonas.task.recipe import MNASNET, SEARCH, SMALL_IMAGE, Recipe
from paretonas.training.classification import predict, train
from paretonas.training.state import StateFile
from paretonas.zoo.zoo import zoo_spec

RECIPES = {
    "search": replace(SEARCH, batch_size=8),
    "small-image": replace(SMALL_IMAGE, epochs=2, batch_size=8),
    "mnasnet": replace(MNASNET, epochs=2, batch_size=8),
    "adamw": Recipe(optimizer="adamw", batch_size=8, lr=0.01, mixup=0.2, cutmix=0.5, dropout=0.3, ema=0.9),
}


class StopError(Exception):
    pass


def _split(n=40):
    rng = np.random.default_rng(0)
    return Split(rng.integers(0, 256, (n, 3, 16, 16)).astype(np.uint8), rng.integers(0, 3, n).astype(np.int64))


def _train(recipe, state=None, stop=None):
    def on_step(done, steps):
        if done == stop:
            raise StopError

    torch.manual_seed(1)
    model = build(zoo_spec("mnasnet-a1", 0.25, 16), 3, dropout=recipe.dropout)
    return train(model, _split(), recipe, 3, seed=7, state=state, on_step=on_step)


@pytest.mark.parametrize("name", RECIPES)
def test_stopped_training_goes_on_to_the_identical_losses(name, tmp_path):
    recipe, file = RECIPES[name], tmp_path / "training.state"
    whole = _train(recipe)
    for stop in (3, 7):
        with pytest.raises(StopError):
            _train(recipe, StateFile(file, {"recipe": name}, every=0.0), stop)
    resumed = _train(recipe, StateFile(file, {"recipe": name}, every=0.0))
    assert resumed.losses == whole.losses
    assert len(whole.losses) == 10
    assert np.array_equal(predict(resumed.model, _split()), predict(whole.model, _split()))


def test_resumed_training_makes_only_the_steps_that_are_left(tmp_path):
    file, steps = tmp_path / "training.state", []
    with pytest.raises(StopError):
        _train(RECIPES["search"], StateFile(file, {}, every=0.0), stop=6)
    torch.manual_seed(1)
    model = build(zoo_spec("mnasnet-a1", 0.25, 16), 3)
    state = StateFile(file, {}, every=0.0)
    train(model, _split(), RECIPES["search"], 3, seed=7, state=state, on_step=lambda done, _: steps.append(done))
    assert steps == [6, 7, 8, 9, 10]  # the state is written after a step is counted


@pytest.mark.parametrize("name", RECIPES)
def test_a_training_in_stages_makes_the_identical_losses(name, tmp_path):
    recipe, file, lengths = RECIPES[name], tmp_path / "training.state", []
    for until in (1 / 9, 1 / 3, 1.0):
        torch.manual_seed(1)
        model = build(zoo_spec("mnasnet-a1", 0.25, 16), 3, dropout=recipe.dropout)
        part = train(model, _split(), recipe, 3, seed=7, state=StateFile(file, {}), until=until)
        lengths.append(len(part.losses))
        assert part.images == 8 * len(part.losses)
    whole = _train(recipe)
    assert lengths == [1, 3, 10]
    assert part.losses == whole.losses
    assert np.array_equal(predict(part.model, _split()), predict(whole.model, _split()))


def test_a_stage_that_was_finished_is_scored_without_another_step(tmp_path):
    steps = []
    for _ in range(2):
        torch.manual_seed(1)
        model, state = build(zoo_spec("mnasnet-a1", 0.25, 16), 3), StateFile(tmp_path / "training.state", {})
        part = train(
            model, _split(), RECIPES["search"], 3, 7, state=state, until=0.5, on_step=lambda i, _: steps.append(i)
        )
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
    assert _train(RECIPES["search"], state).losses == _train(RECIPES["search"]).losses


def test_state_is_written_when_it_is_due_only(tmp_path):
    file = tmp_path / "training.state"
    _train(RECIPES["search"], StateFile(file, {}, every=1e9))
    assert not file.exists()
