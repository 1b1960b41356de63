from dataclasses import replace

import numpy as np
import pytest
import torch
from image_tasks import task_of, visible
from small_networks import SMALL
from torch import nn

from paretonas.data.augment import to_input
from paretonas.errors import TrainingError, UsageError
from paretonas.task.recipe import Recipe
from paretonas.task.recipe_book import SMALL_IMAGE
from paretonas.training.fit import Session, as_run, fit, torch_device
from paretonas.zoo import zoo_spec

RECIPE = Recipe(epochs=3, batch_size=16, lr=0.5, crop=0.0, bn_momentum=0.5)


def model_of(task, recipe=RECIPE, seed=0, spec=SMALL):
    torch.manual_seed(seed)
    return task.network(spec, recipe)


def trained_on(task, recipe, seed=0, session=None):
    return fit(model_of(task, recipe), task, recipe, seed, session)


def test_training_learns_what_is_visible():
    task = visible()
    trained = trained_on(task, RECIPE)
    assert task.score(as_run(trained.model), "train")["accuracy"] > 0.9
    assert trained.train_loss == pytest.approx(np.mean(trained.losses[-4:]))
    assert trained.train_loss < np.mean(trained.losses[:4]) / 2
    assert len(trained.losses) == 12
    assert trained.examples == 3 * 64
    assert not trained.model.training


def test_training_is_the_same_for_the_same_seed_only():
    a, b, c = (trained_on(visible(), RECIPE, seed).losses for seed in (1, 1, 2))
    assert a == b
    assert a != c


def test_losses_are_those_of_earlier_versions():
    recipe = Recipe(epochs=1, batch_size=16, lr=0.5, mixup=0.2)
    losses = fit(model_of(visible(), recipe, spec=zoo_spec("mobilenet-v2", 0.25, 8)), visible(), recipe, 0).losses
    assert len(losses) == 4  # of which the last two have carried on how this processor rounds
    assert losses[:2] == pytest.approx([0.685908, 1.063670], abs=0.01)


def test_training_leaves_the_global_generators_alone():
    torch.manual_seed(5)
    np.random.seed(5)
    expected = (float(torch.rand(1)), np.random.rand())
    task, recipe = visible(), Recipe(epochs=0.5, batch_size=16, mixup=0.2, dropout=0.2)
    model = model_of(task, recipe, seed=5)
    torch.manual_seed(5)
    np.random.seed(5)
    fit(model, task, recipe, seed=0)
    assert (float(torch.rand(1)), np.random.rand()) == expected


def test_moving_average_is_what_is_returned():
    task = visible()
    model = model_of(task)
    trained = fit(model, task, Recipe(epochs=2, batch_size=16, ema=0.9), seed=0)
    assert trained.model is not model
    weights = zip(trained.model.parameters(), model.parameters(), strict=True)
    assert any(not torch.equal(a, b) for a, b in weights)


def test_mixup_and_label_smoothing_run_with_odd_batches():
    recipe = Recipe(epochs=1, batch_size=15, mixup=0.2, cutmix=1.0, label_smoothing=0.1)
    assert np.isfinite(trained_on(visible(), recipe).losses).all()


def test_small_image_recipe_runs_whole():
    task = task_of(visible().images.train.images, visible().images.train.labels, flip=False)
    trained = trained_on(task, replace(SMALL_IMAGE, epochs=1.0, batch_size=16))
    assert 0 <= task.score(as_run(trained.model), "val")["accuracy"] <= 1


def test_divergence_fails_with_the_step_and_a_remedy():
    with pytest.raises(TrainingError, match=r"step \d+ of 40.*lower learning rate"):
        trained_on(visible(), Recipe(epochs=10, batch_size=16, lr=1e30, warmup=0.0, clip=0.0))


def test_progress_counts_every_step():
    steps = []
    session = Session(on_step=lambda *step: steps.append(step))
    trained_on(visible(), Recipe(epochs=1, batch_size=16), session=session)
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]


@pytest.mark.parametrize(("until", "steps"), [(0.5, 4), (0.3, 2), (0.01, 1), (1.0, 8)])
def test_training_stops_at_a_share_of_the_steps(until, steps):
    whole = trained_on(visible(), Recipe(epochs=2, batch_size=16))
    part = trained_on(visible(), Recipe(epochs=2, batch_size=16), session=Session(until=until))
    assert part.losses == whole.losses[:steps]
    assert part.examples == 16 * steps


def test_part_that_is_learned_from_is_what_was_asked_for():
    task = visible()
    data = task.images
    few = replace(data.train, images=data.train.images[:20], labels=data.train.labels[:20])
    vars(task)["images"] = replace(data, train=few)
    recipe = Recipe(epochs=1, batch_size=16)
    assert [trained_on(task, recipe, session=Session(part)).examples for part in ("train", "full_train")] == [16, 64]


def test_fraction_of_an_epoch_is_a_fraction_of_its_steps():
    assert len(trained_on(visible(), Recipe(epochs=0.5, batch_size=16)).losses) == 2
    assert len(trained_on(visible(), Recipe(epochs=0.01, batch_size=16)).losses) == 1


def test_outputs_do_not_depend_on_batches():
    task = visible(n=300)
    run, images = as_run(model_of(task)), torch.from_numpy(task.images.val.images)
    (together,) = run((to_input(images).numpy(),))
    alone = [run((to_input(images[i : i + 1]).numpy(),))[0] for i in range(3)]
    assert together.dtype == np.float32
    assert together.shape == (300, 2)
    assert together[:3] == pytest.approx(np.concatenate(alone), abs=1e-5)


def test_run_puts_the_model_into_evaluation_mode():
    run = as_run(nn.Sequential(nn.Dropout(0.9), nn.Identity()).train())
    x = np.ones((3, 4), np.float32)
    np.testing.assert_array_equal(run((x,))[0], x)


def test_run_takes_and_gives_several_arrays():
    class Sums(nn.Module):
        def forward(self, a, b):
            return a + b, a.double() - b

    total, difference = as_run(Sums())((np.float32([[1, 2]]), np.float32([[10, 20]])))
    assert (total.tolist(), difference.tolist()) == ([[11, 22]], [[-9, -18]])
    assert total.dtype == difference.dtype == np.float32


def test_fewer_images_than_a_batch_are_one_batch():
    assert trained_on(visible(n=10), Recipe(epochs=1, batch_size=64)).examples == 10


def test_layout_changes_the_speed_and_hardly_the_losses():
    a, b = (
        trained_on(visible(), Recipe(epochs=1, batch_size=16, layout=layout)).losses
        for layout in ("channels-last", "contiguous")
    )
    assert a[0] == pytest.approx(b[0], rel=1e-5)  # later ones drift apart
    assert a != b


def test_bfloat16_trains_and_differs_from_float32():
    a, b = (
        trained_on(visible(), Recipe(epochs=6, batch_size=16, lr=0.5, crop=0, precision=precision))
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
