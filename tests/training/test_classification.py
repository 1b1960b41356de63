import numpy as np
import pytest
import torch
from torch import nn

from paretonas.data.images import Split
from paretonas.errors import TrainingError, UsageError
from paretonas.network import build
from paretonas.task.recipe import SMALL_IMAGE, Recipe
from paretonas.training.batches import to_input
from paretonas.training.classification import accuracy, predict, torch_device, train
from paretonas.zoo.zoo import zoo_spec


def _split(n=64, channels=1, side=8, classes=2):
    """Images whose class is visible: dark or bright."""
    rng = np.random.default_rng(0)
    labels = np.arange(n) % classes
    images = rng.integers(0, 40, (n, channels, side, side)) + 150 * labels[:, None, None, None]
    return Split(images.astype(np.uint8), labels.astype(np.int64))


def _model(classes=2, dropout=0.0, seed=0):
    torch.manual_seed(seed)
    return build(zoo_spec("mobilenet-v2", 0.25, 8), classes, channels=1, dropout=dropout)


RECIPE = Recipe(epochs=3, batch_size=16, lr=0.5, crop=0.0, bn_momentum=0.5)


def test_training_learns_what_is_visible():
    split = _split()
    trained = train(_model(), split, RECIPE, 2, seed=0)
    assert accuracy(predict(trained.model, split), split.labels) > 0.9
    assert trained.train_loss == pytest.approx(np.mean(trained.losses[-4:]))
    assert trained.train_loss < np.mean(trained.losses[:4]) / 2
    assert len(trained.losses) == 12
    assert trained.images == 3 * 64
    assert not trained.model.training


def test_training_is_the_same_for_the_same_seed_only():
    split = _split()
    a, b, c = (train(_model(), split, RECIPE, 2, seed=seed).losses for seed in (1, 1, 2))
    assert a == b
    assert a != c


def test_training_leaves_the_global_generators_alone():
    torch.manual_seed(5)
    np.random.seed(5)
    expected = (float(torch.rand(1)), np.random.rand())
    torch.manual_seed(5)
    np.random.seed(5)
    train(_model(seed=5), _split(), Recipe(epochs=0.5, batch_size=16, mixup=0.2, dropout=0.2), 2, seed=0)
    torch.manual_seed(5)
    assert (float(torch.rand(1)), np.random.rand()) == expected


def test_moving_average_is_what_is_returned():
    model = _model()
    trained = train(model, _split(), Recipe(epochs=2, batch_size=16, ema=0.9), 2, seed=0)
    assert trained.model is not model
    weights = zip(trained.model.parameters(), model.parameters(), strict=True)
    assert any(not torch.equal(a, b) for a, b in weights)


def test_mixup_and_label_smoothing_run_with_odd_batches():
    recipe = Recipe(epochs=1, batch_size=15, mixup=0.2, cutmix=1.0, label_smoothing=0.1)
    assert np.isfinite(train(_model(), _split(), recipe, 2, seed=0).losses).all()


def test_small_image_recipe_runs_whole(monkeypatch):
    recipe = Recipe(**{**vars(SMALL_IMAGE), "epochs": 1.0, "batch_size": 16})
    trained = train(_model(dropout=recipe.dropout), _split(), recipe, 2, seed=0, flip=False)
    assert np.isfinite(predict(trained.model, _split())).all()


def test_divergence_fails_with_the_step_and_a_remedy():
    with pytest.raises(TrainingError, match=r"step \d+ of 40.*lower learning rate"):
        train(_model(), _split(), Recipe(epochs=10, batch_size=16, lr=1e30, warmup=0.0, clip=0.0), 2, seed=0)


def test_outputs_that_are_not_finite_are_no_accuracy():
    with pytest.raises(TrainingError, match="finite"):
        accuracy(np.array([[np.nan, 0.0]], np.float32), np.array([1]))


def test_accuracy_is_the_share_of_largest_outputs():
    outputs = np.array([[1, 0], [0, 1], [3, 2], [1, 2]], np.float32)
    assert accuracy(outputs, np.array([0, 1, 1, 1])) == 0.75


def test_progress_counts_every_step():
    steps = []
    train(_model(), _split(), Recipe(epochs=1, batch_size=16), 2, seed=0, on_step=lambda *s: steps.append(s))
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_prediction_does_not_depend_on_batches():
    model = _model().eval()
    split = _split(n=300)
    with torch.inference_mode():
        alone = torch.cat([model(to_input(torch.from_numpy(split.images[i : i + 1]))) for i in range(3)]).numpy()
    assert predict(model, split)[:3] == pytest.approx(alone, abs=1e-5)


def test_fewer_images_than_a_batch_are_one_batch():
    assert train(_model(), _split(n=10), Recipe(epochs=1, batch_size=64), 2, seed=0).images == 10


def test_layout_changes_the_speed_and_hardly_the_losses():
    a, b = (
        train(_model(), _split(), Recipe(epochs=1, batch_size=16, layout=layout), 2, seed=0).losses
        for layout in ("channels-last", "contiguous")
    )
    assert a[0] == pytest.approx(b[0], rel=1e-5)  # later ones drift apart
    assert a != b


def test_bfloat16_trains_and_differs_from_float32():
    a, b = (
        train(_model(), _split(), Recipe(epochs=3, batch_size=16, lr=0.5, crop=0, precision=precision), 2, seed=0)
        for precision in ("float32", "bfloat16")
    )
    assert a.losses != b.losses
    assert b.losses[0] == pytest.approx(a.losses[0], abs=0.02)
    assert b.train_loss < 0.3


@pytest.mark.parametrize("name", ["gpu", "cuda:99", "fast"])
def test_unknown_torch_device_is_refused(name):
    with pytest.raises(UsageError, match="auto, cpu, cuda or mps"):
        torch_device(name)


def test_auto_picks_a_device_that_works():
    assert nn.Linear(1, 1).to(torch_device("auto"))(torch.zeros(1, 1, device=torch_device("auto"))).shape == (1, 1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"batch_size": 1},
        {"lr": 0},
        {"warmup": 1},
        {"dropout": -0.1},
        {"bn_momentum": 0},
        {"min_area": 0},
        {"schedule": "linear"},
        {"layout": "nhwc"},
        {"precision": "int8"},
        {"decay_rate": 0},
    ],
)
def test_recipe_out_of_range_is_refused(wrong):
    with pytest.raises(UsageError, match=next(iter(wrong))):
        Recipe(**wrong)
