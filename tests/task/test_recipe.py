import pytest

from paretonas.errors import UsageError
from paretonas.task import recipes
from paretonas.task.recipe import Recipe
from paretonas.task.recipe_book import (
    AMOEBANET,
    CELL_SEARCH,
    DETECTION,
    DETECTION_SEARCH,
    LANGUAGE,
    LANGUAGE_SEARCH,
    MNASNET,
    MORPH,
    NAS_RL,
    NASNET,
    PRETRAIN,
    SEARCH,
    SMALL_IMAGE,
    SUPERNET,
)


def test_registered_recipes_are_these():
    assert {name: recipes.create(name) for name in recipes} == {
        "amoebanet": AMOEBANET,
        "cell-search": CELL_SEARCH,
        "detection": DETECTION,
        "detection-search": DETECTION_SEARCH,
        "language": LANGUAGE,
        "language-search": LANGUAGE_SEARCH,
        "mnasnet": MNASNET,
        "morph": MORPH,
        "nas-rl": NAS_RL,
        "nasnet": NASNET,
        "pretrain": PRETRAIN,
        "search": SEARCH,
        "small-image": SMALL_IMAGE,
        "supernet": SUPERNET,
    }
    assert all(recipes.create(name).about for name in recipes)


def test_published_recipe_has_the_released_numbers():
    recipe = recipes.create("mnasnet")
    assert (recipe.epochs, recipe.batch_size, recipe.optimizer) == (350, 1024, "rmsproptf")
    assert (recipe.lr, recipe.momentum, recipe.eps, recipe.weight_decay) == (0.016, 0.9, 1e-3, 1e-5)
    assert (recipe.schedule, recipe.decay_rate, recipe.decay_epochs) == ("exponential", 0.97, 2.4)
    assert recipe.warmup == 5 / 350
    assert (recipe.label_smoothing, recipe.min_area, recipe.ema, recipe.dropout) == (0.1, 0.08, 0.9999, 0.2)
    assert (recipe.bn_momentum, recipe.decay_biases) == (0.01, True)


@pytest.mark.parametrize(("name", "rate"), [("nasnet", 0.025), ("amoebanet", 0.024)])
def test_published_recipes_of_cells_have_the_published_learning_rates(name, rate):
    recipe = recipes.create(name)
    assert recipe.lr * recipe.batch_size / 256 == pytest.approx(rate)


def test_options_change_a_copy():
    assert recipes.create("search:epochs=5,batch-size=32") == Recipe(
        **{**vars(SEARCH), "epochs": 5.0, "batch_size": 32}
    )
    assert SEARCH.epochs == 2.0


@pytest.mark.parametrize(("examples", "batch"), [(1000, 64), (64, 64), (63, 63), (2, 2)])
def test_batch_is_of_all_examples_where_there_are_fewer(examples, batch):
    assert Recipe(batch_size=64).batch_of(examples) == batch


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"epochs": float("nan")},
        {"epochs": float("inf")},
        {"batch_size": 1},
        {"lr": 0},
        {"eps": -1e-3},
        {"weight_decay": -1e-5},
        {"warmup": 1},
        {"dropout": -0.1},
        {"dropout": 1},
        {"drop_path": 1},
        {"auxiliary": -0.1},
        {"bn_momentum": 0},
        {"momentum": 1},
        {"min_area": 0},
        {"min_area": 1.1},
        {"min_side": 0},
        {"min_side": 1.1},
        {"min_side": 0.5, "auxiliary": 0.4},
        {"branch_scale": 1.1},
        {"branch_scale": -0.1},
        {"crop": 1},
        {"label_smoothing": 1},
        {"ema": 1},
        {"mixup": -0.1},
        {"cutmix": -0.1},
        {"clip": -1},
        {"decay_rate": 0},
        {"decay_epochs": 0},
        {"schedule": "linear"},
        {"layout": "nhwc"},
        {"precision": "int8"},
    ],
)
def test_recipe_out_of_range_is_refused(wrong):
    with pytest.raises(UsageError, match=f"but got {next(iter(wrong))}=|recipe's {next(iter(wrong))} is one of"):
        Recipe(**wrong)
