import numpy as np
import pytest
import torch

from paretonas.data.images import Split
from paretonas.task.recipe import Recipe
from paretonas.training.batches import MEAN, STD, augment, cut, to_input, training_batches


def test_augment_shifts_by_at_most_the_padding_and_mirrors_half():
    images = torch.arange(1, 17, dtype=torch.uint8).reshape(1, 1, 4, 4).expand(400, 3, 4, 4)
    found = augment(images, torch.Generator().manual_seed(0), padding=1, flip=True)
    padded = torch.nn.functional.pad(images[0], (1, 1, 1, 1))
    shifted = [padded[:, y : y + 4, x : x + 4] for y in range(3) for x in range(3)]
    allowed = {tuple(s.flatten().tolist()) for s in [*shifted, *(s.flip(2) for s in shifted)]}
    seen = [tuple(image.flatten().tolist()) for image in found]
    assert set(seen) == allowed
    plain = {tuple(s.flatten().tolist()) for s in shifted}
    assert 0.4 < np.mean([s in plain for s in seen]) < 0.6
    assert found.dtype == torch.uint8
    assert found.is_contiguous(memory_format=torch.channels_last)


def test_augment_without_padding_or_mirror_changes_nothing():
    images = torch.randint(0, 256, (5, 3, 6, 6), dtype=torch.uint8)
    assert torch.equal(augment(images, torch.Generator(), padding=0, flip=False), images)


def test_pixels_become_the_documented_input():
    found = to_input(torch.tensor([[[[0, 255]]]], dtype=torch.uint8))
    assert found.flatten().tolist() == pytest.approx([-MEAN / STD, (1 - MEAN) / STD])


def _split(n=50, side=8):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (n, 3, side, side)).astype(np.uint8)
    return Split(images, np.arange(n))


def _batches(steps, recipe=Recipe(crop=0.0, is_flipped=False), seed=0):  # noqa: B008 - frozen
    return list(training_batches(_split(), recipe, 8, seed, True, steps, 0))


def test_an_epoch_shows_every_image_once_but_an_incomplete_batch():
    seen = torch.cat([labels for _, labels in _batches(range(6))]).tolist()
    assert len(seen) == len(set(seen)) == 48
    again = torch.cat([labels for _, labels in _batches(range(6, 12))]).tolist()
    assert len(set(again)) == 48
    assert seen != again


@pytest.mark.parametrize("recipe", [Recipe(crop=0.25), Recipe(min_area=0.1)])
def test_batches_from_any_step_on_are_those_of_the_whole(recipe):
    whole, part = _batches(range(14), recipe), _batches(range(9, 14), recipe)
    for (images, labels), (same_images, same_labels) in zip(whole[9:], part, strict=True):
        assert torch.equal(images, same_images)
        assert torch.equal(labels, same_labels)
    assert not torch.equal(_batches(range(1), recipe, seed=1)[0][0], whole[0][0])


def test_labels_stay_with_their_images():
    images, labels = _batches(range(1))[0]
    assert torch.equal(images, torch.from_numpy(_split().images)[labels])


def test_a_cut_of_the_whole_area_without_mirror_is_nearly_the_image():
    smooth = torch.linspace(0, 255, 32).repeat(32, 1).to(torch.uint8).expand(64, 1, 32, 32)
    found = cut(smooth, torch.Generator().manual_seed(0), min_area=1.0, flip=False)
    assert (found.float() - smooth.float()).abs().max() <= 255 * (1 - (3 / 4) ** 0.5) + 2  # an edge of aspect 3/4


def test_cuts_have_the_areas_and_the_mirrors_asked_for():
    ramp = torch.arange(0, 256, 4, dtype=torch.uint8).expand(2000, 1, 64, 64)  # brightness is the column
    found = cut(ramp, torch.Generator().manual_seed(0), min_area=0.25, flip=True).float()
    width = (found[:, 0, 0, -1] - found[:, 0, 0, 0]) / 252  # signed share of the width
    assert 0.45 < (width < 0).float().mean() < 0.55
    shares = width.abs().clamp(max=1)
    assert shares.min() > 0.25**0.5 * (3 / 4) ** 0.5 - 0.05
    # area uniform in [.25, 1], aspect symmetric in the logarithm: the mean width is about E[sqrt(area)] = 7/9
    assert float(shares.mean()) == pytest.approx(7 / 9, abs=0.03)


def test_a_cut_does_not_leave_the_image():
    white = torch.full((500, 3, 16, 16), 200, dtype=torch.uint8)
    assert (cut(white, torch.Generator().manual_seed(1), min_area=0.08, flip=True) == 200).all()
