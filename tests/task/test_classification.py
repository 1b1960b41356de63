import json
import math
import os
import pickle
import shutil
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from paretonas.data.augment import MEAN, STD, Augmentation, scoring_batches, to_input, training_batches
from paretonas.data.images import prepare_data
from paretonas.data.source import DataSource
from paretonas.errors import DataError, TrainingError
from paretonas.executor import executors
from paretonas.space import Interface
from paretonas.task import classification as module
from paretonas.task import tasks
from paretonas.task.classification import Classification
from paretonas.task.recipe import Recipe
from paretonas.task.task import At
from paretonas.testing.task import TaskContract
from paretonas.zoo import zoo_spec

DIGITS = Classification("digits", train_images=100, val_images=50)
RECIPE = Recipe(batch_size=8, crop=0.25)


def at(recipe=RECIPE, step=0, seed=0):
    return At(step, 10, seed, recipe)


def fixed(logits):
    """A network that gives these outputs whatever it is fed."""

    class Fixed(nn.Module):
        def forward(self, x):
            return torch.tensor(logits)

    return Fixed()


# What it is


def test_nothing_is_read_before_it_is_used():
    task = Classification("/nobody/has/this")
    assert task == Classification("/nobody/has/this")
    assert tasks.create("classification:data=/nobody/has/this") == task
    with pytest.raises(DataError, match="The data must exist"):
        task.interface  # noqa: B018


@pytest.mark.parametrize("wrong", [{"resolution": 7}, {"resolution": 2000}, {"split_seed": -1}])
def test_numbers_out_of_range_are_refused_at_once(wrong):
    with pytest.raises(DataError, match="must hold"):
        Classification("digits", **wrong)


def test_properties_are_those_of_the_data(cache):
    task = Classification("digits", train_images=100, val_images=50)
    data = prepare_data(DataSource("digits", train_images=100, val_images=50), cache)
    assert task.quality == "accuracy"
    assert task.interface == Interface.of_images(channels=1, resolution=8, classes=10)
    assert task.digest == data.digest
    assert task.typical == zoo_spec("mobilenet-v2", resolution=8)
    assert task.examples == {"train": 100, "val": 50, "test": 359, "full_train": 1438}
    how = {"layout": "NCHW", "resize": "shorter-side", "crop": "center", "interpolation": "bilinear-antialiased"}
    told = {"kind": "classes", "classes": list("0123456789"), "colours": "grey", "mean": MEAN, "std": STD}
    assert task.metadata == told | how
    assert json.loads(json.dumps(task.metadata)) == task.metadata
    assert task.about() == ("data digits: 100 training, 50 validation, 359 test images, 1 x 8 x 8, 10 classes",)


def test_options_reach_the_data(tree):
    plain = Classification(str(tree))
    assert plain.interface.image_shape == (3, 16, 16)  # 12 pixels, to the nearest multiple of 8
    others = [
        Classification(str(tree), resolution=24),
        Classification(str(tree), train_images=10),
        Classification(str(tree), val_images=4),
        Classification(str(tree), split_seed=1),
        Classification(str(tree), stream=True),
    ]
    assert len({plain.digest, *(task.digest for task in others)}) == 6
    assert others[0].interface.image_shape == (3, 24, 24)
    assert others[1].examples["train"] == 10
    assert others[2].examples["val"] == 4
    assert others[4].images.is_streamed


def test_corrupt_images_are_told_of(tree):
    for number in range(4):
        (tree / "cat" / f"{number}.png").write_bytes(b"no image")
    with pytest.raises(DataError, match="4 of 40 are corrupt"):
        Classification(str(tree)).digest  # noqa: B018
    about = Classification(str(tree), skip_corrupt=True).about()
    assert about[1].startswith("4 corrupt images are left out: cat/0.png: not an image")
    assert about[1].endswith(", …")


def test_what_is_not_used_of_the_data_is_told(tree):
    (tree / "cat" / "notes.txt").write_text("no image")
    assert Classification(str(tree)).about()[1:] == (f"not used of {tree}: 1 other file (.txt 1)",)


def test_columns_are_options(tmp_path, tree):
    encoded = [file.read_bytes() for file in sorted(tree.glob("*/*.png"))]
    table = pa.table({"photo": encoded, "breed": ["pug", "husky"] * 20})
    pq.write_table(table, tmp_path / "set.parquet")
    task = tasks.create(f"classification:data={tmp_path / 'set.parquet'},image_column=photo,label_column=breed")
    assert task.metadata["classes"] == ["husky", "pug"]


def test_network_is_fed_what_the_images_are():
    model = DIGITS.network(zoo_spec("mobilenet-v2", 0.25, 8), Recipe(dropout=0.3))
    assert model.stem[0].weight.shape[1] == 1
    assert (model.classifier.out_features, model.dropout.p) == (10, 0.3)


# Preparing


def test_prepare_says_how_far_it_is_and_where_it_keeps_the_images(tree, tmp_path, cache):
    task, counts = Classification(str(tree)), []
    task.prepare(tmp_path / "mine", lambda *count: counts.append(count))
    assert counts == [(40, 40)]
    assert task.images.folder.parent == tmp_path / "mine"
    assert not cache.exists()


def test_unprepared_task_keeps_the_images_where_the_environment_says(tree, cache, monkeypatch, tmp_path):
    assert Classification(str(tree)).images.folder.parent == cache
    monkeypatch.delenv("PARETONAS_CACHE")
    monkeypatch.chdir(tmp_path)
    assert Classification(str(tree)).images.folder.parent.name == "cache"
    assert (tmp_path / "paretonas-runs" / "cache").is_dir()


# Pickling


def pickled(task):
    return pickle.loads(pickle.dumps(task))


def test_worker_opens_the_prepared_images_and_lists_nothing(tree, tmp_path, monkeypatch):
    task = Classification(str(tree))
    task.prepare(tmp_path / "mine")
    sent = pickle.dumps(task)
    assert len(sent) < 1000
    monkeypatch.setattr(module, "prepare_data", lambda *_: pytest.fail("listed again"))
    shutil.rmtree(tree)
    found = pickle.loads(sent)
    assert found == task
    assert found.digest == task.digest
    np.testing.assert_array_equal(found.images.train.images, task.images.train.images)


def test_task_that_is_sent_on_before_it_was_used_is_still_prepared(tree, tmp_path, monkeypatch):
    task = Classification(str(tree))
    task.prepare(tmp_path / "mine")
    monkeypatch.setattr(module, "prepare_data", lambda *_: pytest.fail("listed again"))
    assert pickled(pickled(pickled(task))).digest == task.digest


def test_unprepared_task_travels_as_its_options(tree):
    task = pickled(Classification(str(tree), resolution=24))
    assert task == Classification(str(tree), resolution=24)
    assert task.interface.image_shape == (3, 24, 24)


def test_worker_prepares_anew_where_the_folder_is_gone(tree, tmp_path, cache):
    task = Classification(str(tree))
    task.prepare(tmp_path / "mine")
    digest, sent = task.digest, pickle.dumps(task)
    shutil.rmtree(tmp_path / "mine")
    found = pickle.loads(sent)
    assert found.digest == digest
    assert found.images.folder.parent == cache


@pytest.mark.parametrize("change", ["image", "fewer", "class"])
def test_worker_that_has_other_contents_says_so(tree, tmp_path, change):
    task = Classification(str(tree))
    task.prepare(tmp_path / "mine")
    sent = pickle.dumps(task)
    shutil.rmtree(tmp_path / "mine")
    if change == "image":
        shutil.copy(tree / "cat" / "1.png", tree / "cat" / "0.png")
    elif change == "fewer":
        (tree / "cat" / "0.png").unlink()
    else:
        os.rename(tree / "dog", tree / "wolf")
    with pytest.raises(DataError, match="to be the same everywhere, but here they are others"):
        pickle.loads(sent).digest  # noqa: B018


def test_other_options_are_not_taken_for_prepared(tree, tmp_path):
    task = Classification(str(tree))
    task.prepare(tmp_path / "mine")
    assert replace(task, resolution=24).interface.image_shape == (3, 24, 24)
    assert replace(pickled(task), resolution=24).interface.image_shape == (3, 24, 24)


def digest_in_worker(task):
    module.prepare_data = None  # is not needed
    return task.digest


def test_task_is_used_in_another_process(tree, tmp_path):
    task = Classification(str(tree))
    task.prepare(tmp_path / "mine")
    with executors.create("process:workers=1").start() as executor:
        job = executor.submit("digest", digest_in_worker, task)
        executor.wait()
    assert job.result() == task.digest


# Batches


@pytest.mark.parametrize("part", ["train", "val", "full_train"])
def test_batches_are_those_of_the_recipe_and_begin_at_any_step(part):
    split = getattr(DIGITS.images, part)
    expected = list(training_batches(split, Augmentation(crop=0.25), 8, 3, range(2, 6), 0))
    found = list(DIGITS.batches(part, RECIPE, 3, range(2, 6)))
    assert len(found) == 4
    for (images, labels), (same, same_labels) in zip(found, expected, strict=True):
        assert images.dtype == torch.uint8
        assert torch.equal(images, same)
        assert torch.equal(labels, same_labels)


def test_images_are_mirrored_only_where_recipe_and_data_allow(tree, monkeypatch):
    asked = []

    def recorded(split, augmentation, *rest):
        asked.append(augmentation)
        return training_batches(split, augmentation, *rest)

    monkeypatch.setattr(module, "training_batches", recorded)
    for task in (DIGITS, Classification(str(tree))):
        for is_flipped in (True, False):
            list(task.batches("train", replace(RECIPE, is_flipped=is_flipped, min_area=0.5), 0, range(1)))
    assert [one.flip for one in asked] == [False, False, True, False]  # a mirrored digit is none
    assert {(one.crop, one.min_area) for one in asked} == {(0.25, 0.5)}


def test_streamed_images_give_the_same_scores(monkeypatch):
    memory, streamed = (Classification("digits", val_images=50, stream=stream) for stream in (False, True))
    monkeypatch.setattr(Classification, "_loaders", 0)

    def run(inputs):
        return (inputs[0].reshape(len(inputs[0]), -1)[:, :10],)

    assert streamed.score(run, "val") == memory.score(run, "val")
    ((images, labels),) = streamed.batches("train", RECIPE, 0, range(1))
    assert (images.shape, labels.shape) == ((8, 1, 8, 8), (8,))


def test_as_many_loaders_decode_as_there_are_threads(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    assert DIGITS._loaders == 0
    assert Classification("digits", stream=True)._loaders == 3


# Loss and score


def batch_of(labels):
    return torch.zeros(len(labels), 1, 8, 8, dtype=torch.uint8), torch.tensor(labels)


def test_loss_is_the_cross_entropy_by_hand():
    # e^log 3 of 3 + 9 for the first, 1 of 12 for the second
    logits = [[math.log(3.0), *[0.0] * 9], [math.log(3.0), *[0.0] * 9]]
    loss = DIGITS.loss(fixed(logits), batch_of([0, 5]), at())
    assert float(loss) == pytest.approx((math.log(4.0) + math.log(12.0)) / 2)


def test_label_smoothing_shares_out_a_part_of_the_label():
    logits = [[math.log(3.0), *[0.0] * 9]]
    loss = DIGITS.loss(fixed(logits), batch_of([0]), at(Recipe(label_smoothing=0.1)))
    assert float(loss) == pytest.approx(0.91 * math.log(4.0) + 0.09 * math.log(12.0))


def test_loss_feeds_the_network_floats_in_the_layout_of_the_recipe():
    fed = []

    class Spy(nn.Module):
        def forward(self, x):
            fed.append(x)
            return torch.zeros(len(x), 10)

    ((images, labels),) = DIGITS.batches("train", RECIPE, 0, range(1))
    for layout in ("channels-last", "contiguous"):
        DIGITS.loss(Spy(), (images, labels), at(replace(RECIPE, layout=layout)))
    assert torch.equal(fed[0], to_input(images))
    assert torch.equal(fed[0], fed[1])
    assert fed[0].is_contiguous(memory_format=torch.channels_last)
    assert fed[1].is_contiguous()


@pytest.mark.parametrize(("step", "side"), [(0, 16), (3, 24), (6, 32), (7, 32)])  # of 8; full from the sixth on
def test_images_that_are_small_at_first_grow_to_their_size(step, side):
    fed = []

    class Spy(nn.Module):
        def forward(self, x):
            fed.append(x)
            return torch.zeros(len(x), 10)

    recipe, images = replace(RECIPE, min_side=0.5), torch.full((2, 1, 32, 32), 51, dtype=torch.uint8)
    DIGITS.loss(Spy(), (images, torch.tensor([0, 1])), At(step, 8, 0, recipe))
    assert fed[0].shape == (2, 1, side, side)
    torch.testing.assert_close(fed[0], to_input(images)[..., :side, :side])  # of one color still


def test_branches_begin_as_the_identity_where_the_recipe_says_so():
    spec = zoo_spec("mobilenet-v2", 0.25, 8)
    x = torch.rand(2, 1, 8, 8)
    for scale, is_identity in ((1.0, False), (0.0, True)):
        network = DIGITS.network(spec, replace(RECIPE, branch_scale=scale)).eval()
        skipping = [module for module in network.modules() if getattr(module, "skip", None) is not None]
        assert skipping
        x = torch.rand(2, skipping[0].body[-1].num_features, 8, 8)
        assert torch.equal(skipping[0](x), x) == is_identity


def test_an_auxiliary_loss_is_weighted_and_paths_are_dropped_as_scheduled():
    spec = zoo_spec("nasnet-a:cells=3,filters=4,resolution=32")
    recipe = replace(RECIPE, auxiliary=0.5, drop_path=0.4)
    large = replace(DIGITS, resolution=32)
    network = large.network(spec, recipe)
    for part in (network.cells, network.auxiliary):
        for norm in (one for one in part.modules() if isinstance(one, nn.BatchNorm2d)):
            norm.eval()
    ((images, labels),) = large.batches("train", recipe, 0, range(1))
    expected = [F.cross_entropy(one, labels).item() for one in network(to_input(images))]
    found = large.loss(network, (images, labels), at(recipe)).item()
    assert found == pytest.approx(expected[0] + 0.5 * expected[1], rel=1e-5)
    large.loss(network, (images, labels), at(recipe, step=5))
    assert network.cells[-1].drop.probability == pytest.approx(0.4 * 0.5)
    assert network.cells[0].drop.probability == pytest.approx(0.4 * 0.5 / len(network.cells))


@pytest.mark.parametrize("mix", [{"mixup": 0.2}, {"cutmix": 1.0}, {"mixup": 0.2, "cutmix": 1.0}])
def test_mixing_depends_on_the_seed_and_the_step_alone_and_takes_odd_batches(mix):
    recipe, mixed = Recipe(label_smoothing=0.1, **mix), []

    class Spy(nn.Module):
        def forward(self, x):
            mixed.append(x)
            return x.flatten(1)[:, :10]

    (batch,) = DIGITS.batches("train", Recipe(batch_size=15), 0, range(1))
    np.random.seed(5)
    state = np.random.get_state()[1].tolist()
    losses = [
        float(DIGITS.loss(Spy(), batch, at(recipe, step, seed))) for step, seed in ((3, 0), (3, 0), (4, 0), (3, 1))
    ]
    assert np.random.get_state()[1].tolist() == state
    assert losses[0] == losses[1]
    assert len(set(losses)) == 3
    assert [len(x) for x in mixed] == [14] * 4  # pairs are mixed
    assert all(map(math.isfinite, losses))


def test_accuracy_is_the_share_of_largest_outputs():
    labels = DIGITS.images.val.labels

    def run(inputs):
        (x,) = inputs
        assert x.dtype == np.float32
        logits = np.zeros((len(x), 10), np.float32)
        logits[np.arange(len(x)), labels] = 1.0
        logits[:10] = np.roll(logits[:10], 1, axis=1)  # ten of fifty are wrong
        return (logits,)

    found = DIGITS.score(run, "val")
    assert found["accuracy"] == 0.8
    assert found["balanced_accuracy"] == pytest.approx(np.mean([(labels[10:] == c).sum() / 5 for c in range(10)]))


@pytest.mark.parametrize("part", ["train", "val", "test", "full_train"])
def test_score_is_of_all_examples_of_a_part_as_networks_are_fed_them(part):
    seen = []

    def run(inputs):
        seen.append(inputs[0])
        return (np.eye(10, dtype=np.float32)[np.zeros(len(inputs[0]), int)],)

    split = getattr(DIGITS.images, part)
    found = DIGITS.score(run, part)
    assert tuple(found) == DIGITS.scores
    assert found["accuracy"] == float((split.labels == 0).mean())
    assert found["balanced_accuracy"] == pytest.approx(0.1)
    assert found["top5_accuracy"] == float((split.labels < 5).mean())
    np.testing.assert_array_equal(np.concatenate(seen), torch.cat(list(scoring_batches(split))).numpy())


def test_outputs_that_are_not_finite_are_no_accuracy():
    with pytest.raises(TrainingError, match="finite"):
        DIGITS.score(lambda inputs: (np.full((len(inputs[0]), 10), np.nan, np.float32),), "val")


def test_the_top_five_are_scored_where_there_are_more_classes(tree):
    task = Classification(str(tree))
    assert task.scores[-1] == "top5_accuracy"  # nothing is read to know
    found = task.score(lambda inputs: (np.zeros((len(inputs[0]), 2), np.float32),), "val")
    assert tuple(found) == task.scores == ("accuracy", "balanced_accuracy", "macro_f1")


def test_an_examination_tells_which_classes_are_taken_for_which():
    def run(inputs):
        return (np.eye(10, dtype=np.float32)[np.full(len(inputs[0]), 3)],)

    examined = DIGITS.examine(run, "val")
    assert examined.metrics == DIGITS.score(run, "val")
    assert examined.step == 1 / 50
    assert examined.details == {"confusions": [(c, 3, 5) for c in range(10)]}
    balanced = replace(DIGITS, quality="balanced_accuracy").examine(run, "val")
    assert balanced.step == pytest.approx(1 / (10 * 5))


# Unequal classes


@pytest.fixture
def unequal(tree):
    """24 and 16 images made 24 and 6."""
    for number in range(30, 40):
        (tree / "dog" / f"{number}.png").unlink()
    return Classification(str(tree), val_images=4)


def test_unequal_classes_are_told_of_with_what_helps(unequal, tree):
    (line,) = (line for line in unequal.about() if line.startswith("unequal classes"))
    counts = np.bincount(unequal.images.train.labels)
    assert line.startswith(f"unequal classes: {counts[1]} training images of dog, {counts[0]} of cat; ")
    assert "--task classification:class_weights=balanced" in line
    assert not any("unequal classes" in said for said in DIGITS.about())
    balanced = replace(unequal, class_weights="balanced").about()
    assert balanced[-1] == "classes: each weighs as much as any other in the loss"


def test_options_about_classes_are_part_of_the_digest_where_they_are_not_usual(unequal):
    others = [
        replace(unequal, class_weights="balanced"),
        replace(unequal, quality="balanced_accuracy"),
        replace(unequal, quality="macro_f1"),
    ]
    assert unequal.digest == unequal.images.digest
    assert len({unequal.digest, *(task.digest for task in others)}) == 4
    written = tasks.create(f"classification:data={unequal.data},val_images=4,class_weights=balanced")
    assert written == others[0]
    assert [task.quality for task in others] == ["accuracy", "balanced_accuracy", "macro_f1"]


def test_balanced_weights_are_of_the_part_that_is_learned(unequal):
    task = replace(unequal, class_weights="balanced")
    for part in ("train", "full_train"):
        counts = np.bincount(getattr(task.images, part).labels)
        for images, labels, weights in task.batches(part, RECIPE, 0, range(2)):
            assert len(images) == len(labels) == 8
            assert weights.tolist() == pytest.approx((counts.sum() / (2 * counts)).tolist())
    plain = [labels for _, labels in unequal.batches("train", RECIPE, 0, range(2))]
    weighted = [labels for _, labels, _ in task.batches("train", RECIPE, 0, range(2))]
    assert all(torch.equal(a, b) for a, b in zip(plain, weighted, strict=True))


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_weighted_loss_is_that_of_weighted_examples_by_hand(smoothing):
    logits, labels, weights = [[2.0, 0.0], [0.0, 1.0], [0.5, 0.5]], torch.tensor([0, 1, 1]), torch.tensor([0.5, 2.0])
    shares = torch.tensor(logits).log_softmax(1)
    each = [
        -sum(float(weights[c]) * ((1 - smoothing) * (c == y) + smoothing / 2) * float(row[c]) for c in range(2))
        for row, y in zip(shares, labels.tolist(), strict=True)
    ]
    batch = torch.zeros(3, 1, 8, 8, dtype=torch.uint8), labels, weights
    found = DIGITS.loss(fixed(logits), batch, at(replace(RECIPE, label_smoothing=smoothing)))
    assert float(found) == pytest.approx(sum(each) / 3, rel=1e-5)


def test_weights_of_one_change_no_loss_whatever_is_smoothed_or_mixed():
    rng = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (8, 1, 8, 8), dtype=torch.uint8, generator=rng)
    labels = torch.randint(0, 10, (8,), generator=rng)
    model = DIGITS.network(zoo_spec("mobilenet-v2", 0.25, 8), RECIPE)
    for recipe in (RECIPE, replace(RECIPE, label_smoothing=0.1), replace(RECIPE, mixup=0.2, label_smoothing=0.1)):
        plain = DIGITS.loss(model, (images, labels), at(recipe)).detach()
        weighted = DIGITS.loss(model, (images, labels, torch.ones(10)), at(recipe)).detach()
        assert float(weighted) == pytest.approx(float(plain), rel=1e-5)


def test_weights_count_the_shares_of_mixed_classes():
    images, labels = torch.zeros(2, 1, 8, 8, dtype=torch.uint8), torch.tensor([0, 1])
    model, recipe = fixed([[0.0] * 10] * 2), replace(RECIPE, mixup=1.0)
    weights = torch.zeros(10)
    weights[:2] = torch.tensor([1.0, 3.0])
    mixed = float(DIGITS.loss(model, (images, labels, weights), at(recipe)))
    # Each example is a share s of one class and 1 - s of the other: together one of each class.
    assert mixed == pytest.approx((1.0 + 3.0) * math.log(10) / 2, rel=1e-5)


@pytest.mark.slow  # tests of the same kind on plain digits are quick ones
class TestBalancedDigits(TaskContract):
    @pytest.fixture
    def task(self):
        return Classification("digits", train_images=200, quality="balanced_accuracy", class_weights="balanced")

    @pytest.fixture
    def spec(self):
        return zoo_spec("mobilenet-v2", 0.25, 8)
