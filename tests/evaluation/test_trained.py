"""What one candidate costs, and that it is paid for once: real digits, real networks."""

from dataclasses import replace

import pytest
import torch

import paretonas.evaluation.trained as module
from paretonas.data.images import prepare_data
from paretonas.data.source import DataSource
from paretonas.device import parse_device
from paretonas.errors import StoreError
from paretonas.evaluation.trained import Evaluator
from paretonas.store import Store
from paretonas.task import recipes
from paretonas.zoo.zoo import zoo_spec


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return prepare_data(DataSource("digits", train_images=100, val_images=100), tmp_path_factory.mktemp("data"))


@pytest.fixture
def measured(monkeypatch):
    """The batches on which zero-cost metrics were computed, each time."""
    found, zero_cost = [], module.zero_cost

    def recorded(model, images, labels):
        found.append((images, labels))
        return zero_cost(model, images, labels)

    monkeypatch.setattr(module, "zero_cost", recorded)
    return found


def _evaluator(store, data, folder, seed=0):
    return Evaluator(store, parse_device("onnxruntime"), folder, data, recipes.create("search"), seed, "cpu")


def test_proxies_are_computed_once_for_a_spec_data_and_seed(data, measured, tmp_path):
    spec, store = zoo_spec("mnasnet-a1", 0.25, 8), Store(tmp_path / "store.db")
    first = _evaluator(store, data, tmp_path).proxies(spec)
    assert first.keys() == {"synflow", "jacobian_covariance", "gradient_norm"}
    assert _evaluator(store, data, tmp_path).proxies(spec) == first
    assert [(images.shape, labels.tolist()) for images, labels in measured] == [
        ((64, 1, 8, 8), data.train.labels[:64].tolist())
    ]
    assert _evaluator(store, data, tmp_path, seed=1).proxies(spec) != first
    _evaluator(store, replace(data, digest="another"), tmp_path).proxies(spec)
    _evaluator(store, data, tmp_path).proxies(zoo_spec("mnasnet-a1", 0.35, 8))
    assert len(measured) == 4


def test_proxies_depend_on_the_seed_alone(data, tmp_path):
    spec = zoo_spec("mnasnet-a1", 0.25, 8)
    torch.manual_seed(5)
    first, state = _evaluator(Store(tmp_path / "a.db"), data, tmp_path).proxies(spec), torch.get_rng_state()
    torch.manual_seed(6)
    assert _evaluator(Store(tmp_path / "b.db"), data, tmp_path).proxies(spec) == first
    torch.manual_seed(5)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(("kind", "value"), [("proxies", {"synflow": "large"}), ("accuracy", {"train_loss": 0.1})])
def test_damaged_rows_are_refused(kind, value, data, tmp_path, monkeypatch):
    evaluator = Evaluator(
        Store(tmp_path / "s.db"), parse_device("onnxruntime"), tmp_path, data, recipes.create("search")
    )
    spec = zoo_spec("mnasnet-a1", 0.25, 16)
    monkeypatch.setattr(evaluator._cache, "get", lambda asked, key: value if asked == kind else None)
    with pytest.raises(StoreError, match="is numbers"):
        evaluator.proxies(spec) if kind == "proxies" else evaluator.trained(spec, 1.0)
