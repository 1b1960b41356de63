"""A search whose candidates begin with the weights of a file."""

from dataclasses import replace
from random import Random

import pytest
import torch
from abacus import CONFIG, Few
from safetensors.torch import save_file

from paretonas.errors import DataError, UsageError
from paretonas.network import build
from paretonas.registry import Selection
from paretonas.search.finalists import train_trials
from paretonas.search.finish import Finishing
from paretonas.search.search import new_search, open_search
from paretonas.search.sections import config_from_json, config_to_json
from paretonas.space import Interface
from paretonas.space.transform import Transform
from paretonas.task import recipes
from paretonas.zoo import zoo_spec


def write(path, seed, spec=None):
    torch.manual_seed(seed)
    space = Few(single=True).build()
    network = build(spec or space.decode(space.sample(Random(0))), Interface.of_images(1, 8, 10))
    save_file(network.state_dict(), path)
    return str(path)


@pytest.fixture
def config(tmp_path):
    space = Selection("few", {"single": True})
    return replace(CONFIG, space=space, weights=write(tmp_path / "given.safetensors", 1))


def test_candidates_begin_with_them_and_are_told_apart_from_others(config, store, tmp_path):
    losses = {}
    for name, weights in (("fresh", ""), ("given", config.weights), ("other", write(tmp_path / "o.safetensors", 2))):
        search = new_search(replace(config, name=name, weights=weights), store, tmp_path)
        losses[name] = search.run()[0].metrics["train_loss"]
        assert any("from the weights of" in line for line in search.evaluator.about().lines) == bool(weights)
    assert len(set(losses.values())) == 3
    again = new_search(replace(config, name="again"), store, tmp_path).run()
    assert again[0].metrics["train_loss"] == losses["given"]
    assert again[0].is_reused
    assert config_from_json(store.config("given")).weights == config.weights
    assert "weights" not in config_to_json(replace(config, weights=""))


def test_with_another_file_a_search_does_not_go_on(config, store, tmp_path):
    new_search(config, store, tmp_path)
    write(tmp_path / "given.safetensors", 3)
    with pytest.raises(DataError, match="and the weights, that it began with"):
        open_search("s", store, tmp_path)


@pytest.mark.parametrize("given", ["nowhere.safetensors", "of another network"])
def test_a_file_that_does_not_fit_stops_it_before_anything_is_trained(config, store, tmp_path, given):
    path = (
        write(tmp_path / "b.safetensors", 1, zoo_spec("mnasnet-b1", 0.25, 8))
        if given == "of another network"
        else given
    )
    with pytest.raises(UsageError, match="Weights are"):
        new_search(replace(config, weights=path), store, tmp_path)
    assert store.searches() == []


def test_finalists_begin_with_them_too_unless_they_are_others(config, store, tmp_path):
    search = new_search(config, store, tmp_path)
    trials = search.run()[:1]
    recipe = replace(recipes.create("search"), epochs=0.5, layout="channels-last", precision="float32")
    losses = [
        train_trials(search, trials, Finishing(recipe, seed=seed, transform=transform))[0].metrics["train_loss"]
        for seed, transform in ((None, Transform()), (5, Transform()), (None, Transform(width=0.5)))
    ]
    assert len(set(losses)) == 3
