import numpy as np
import pytest
import torch

from paretonas.data.augment import (
    MEAN,
    STD,
    Augmentation,
    augment,
    cut,
    scoring_batches,
    seed_of,
    to_input,
    training_batches,
)
from paretonas.data.images import Split


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


def _batches(steps, augmentation=None, seed=0):
    return list(training_batches(_split(), augmentation or Augmentation(), 8, seed, steps, 0))


def test_an_epoch_shows_every_image_once_but_an_incomplete_batch():
    seen = torch.cat([labels for _, labels in _batches(range(6))]).tolist()
    assert len(seen) == len(set(seen)) == 48
    again = torch.cat([labels for _, labels in _batches(range(6, 12))]).tolist()
    assert len(set(again)) == 48
    assert seen != again


@pytest.mark.parametrize("augmentation", [Augmentation(crop=0.25, flip=True), Augmentation(min_area=0.1, flip=True)])
def test_batches_from_any_step_on_are_those_of_the_whole(augmentation):
    whole, part = _batches(range(14), augmentation), _batches(range(9, 14), augmentation)
    for (images, labels), (same_images, same_labels) in zip(whole[9:], part, strict=True):
        assert torch.equal(images, same_images)
        assert torch.equal(labels, same_labels)
    assert not torch.equal(_batches(range(1), augmentation, seed=1)[0][0], whole[0][0])


def test_labels_stay_with_their_images():
    images, labels = _batches(range(1))[0]
    assert torch.equal(images, torch.from_numpy(_split().images)[labels])


def test_batches_without_augmentation_are_the_images_as_they_are():
    plain, mirrored = Augmentation(), Augmentation(flip=True)
    images = torch.from_numpy(_split().images)
    is_changed = []
    for batch, labels in _batches(range(6), mirrored):
        same, flipped = (batch == images[labels]).flatten(1).all(1), (batch == images[labels].flip(3)).flatten(1).all(1)
        assert (same | flipped).all()
        is_changed += flipped.tolist()
    assert 0.3 < np.mean(is_changed) < 0.7
    assert all(torch.equal(batch, images[labels]) for batch, labels in _batches(range(6), plain))


def test_crop_is_a_share_of_the_side():
    white = Split(np.full((64, 1, 8, 8), 255, np.uint8), np.arange(64))
    ((batch, _),) = training_batches(white, Augmentation(crop=0.25), 64, 0, range(1), 0)
    lost = [(8 - int((image.amax(0) > 0).sum()), 8 - int((image.amax(1) > 0).sum())) for image in batch[:, 0]]
    assert {one for pair in lost for one in pair} == {0, 1, 2}


def test_encoded_images_are_augmented_as_a_stream(encoded):
    split = Split(encoded, np.arange(12))
    ((batch, labels),) = training_batches(split, Augmentation(), 12, 0, range(1), 0)
    assert batch.shape == (12, 3, 16, 16)
    assert torch.equal(batch, torch.from_numpy(np.stack([encoded.pixels(int(i)) for i in labels])))
    ((cropped, again),) = training_batches(split, Augmentation(crop=0.25, flip=True), 12, 0, range(1), 0)
    assert torch.equal(labels, again)
    assert not torch.equal(batch, cropped)


def test_scoring_batches_are_all_images_in_order_as_networks_are_fed_them(encoded, monkeypatch):
    monkeypatch.setattr("paretonas.data.augment.SCORING_BATCH", 20)
    found = list(scoring_batches(_split()))
    assert [len(batch) for batch in found] == [20, 20, 10]
    assert torch.equal(torch.cat(found), to_input(torch.from_numpy(_split().images)))
    streamed = torch.cat(list(scoring_batches(Split(encoded, np.arange(12)))))
    assert torch.equal(streamed, to_input(torch.from_numpy(np.stack([encoded.pixels(i) for i in range(12)]))))


def test_seeds_of_steps_and_purposes_differ():
    seeds = [seed_of(seed, purpose, n) for seed in (0, 1) for purpose in ("step", "order") for n in range(50)]
    assert len(set(seeds)) == 200
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert seed_of(0, "step", 7) == 6521407775492966157


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
