import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

import paretonas.task.decode
from paretonas.data.augment import to_input
from paretonas.data.pixels import to_pixels
from paretonas.errors import DataError, MachineError, TrainingError, UsageError
from paretonas.space import Interface, Port
from paretonas.task.decode import decode, encode, predict, top_classes

CIFAR = Interface.of_images(3, 32, 10)

METADATA = {"kind": "classes", "classes": ["cat", "dog", "eel"], "mean": 0.5, "std": 0.25}
examples = settings(max_examples=50, deadline=None, database=None, derandomize=True)


def test_most_likely_class_has_the_largest_output_and_of_equal_ones_the_first():
    logits = np.array([[1, 0, -1], [0, 1, 1], [-3, -2, -1], [5, 5, 5]], np.float32)
    assert top_classes(logits).tolist() == [0, 1, 2, 0]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_outputs_that_are_not_finite_are_no_classes(value):
    logits = np.zeros((3, 2), np.float32)
    logits[1, 1] = value
    with pytest.raises(TrainingError, match="finite outputs"):
        top_classes(logits)
    with pytest.raises(TrainingError, match="finite outputs"):
        decode((logits,), {**METADATA, "classes": ["a", "b"]})


def test_classes_have_their_names_and_the_probabilities_of_a_softmax():
    # e^0, e^log 3 and e^0 of 5; e^1 of 2 + e
    outputs = np.array([[0.0, np.log(3.0), 0.0], [1.0, 0.0, 0.0], [-1000.0, -1000.0, 1000.0]])
    assert decode((outputs,), METADATA) == [
        {"class": "dog", "probability": 0.6},
        {"class": "cat", "probability": 0.576117},
        {"class": "eel", "probability": 1.0},
    ]


def test_nothing_in_gives_nothing():
    assert decode((np.zeros((0, 3), np.float32),), METADATA) == []


@examples
@given(logits=hnp.arrays(np.float32, st.tuples(st.integers(1, 5), st.just(3)), elements=st.floats(-50, 50, width=32)))
def test_every_example_gets_its_likeliest_class_as_json(logits):
    found = json.loads(json.dumps(decode((logits,), METADATA)))
    assert [METADATA["classes"].index(one["class"]) for one in found] == top_classes(logits).tolist()
    assert all(1 / 3 - 1e-6 <= one["probability"] <= 1 for one in found)


@pytest.mark.parametrize("metadata", [{}, {"kind": "boxes"}, {"kind": None, "classes": ["a"]}])
def test_outputs_of_another_kind_are_refused(metadata):
    with pytest.raises(UsageError, match="of the kind 'classes', but the file's is"):
        decode((np.zeros((1, 3)),), metadata)
    with pytest.raises(UsageError, match="of the kind 'classes', but the file's is"):
        encode(Path("image.png"), metadata, CIFAR)


# From a file


@pytest.fixture
def image(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "image.png")
    return tmp_path / "image.png"


def test_file_is_fed_as_its_image_was_in_training(image):
    (found,) = encode(image, METADATA, CIFAR)
    pixels = torch.from_numpy(np.asarray(Image.open(image)).transpose(2, 0, 1)[None].copy())
    assert (found.dtype, found.shape) == (np.float32, (1, 3, 32, 32))
    np.testing.assert_allclose(found, to_input(pixels).numpy(), rtol=0, atol=1e-6)


def test_file_of_another_size_is_cut_and_scaled_as_the_data_were(image):
    Image.open(image).resize((100, 60)).save(image)
    (found,) = encode(image, METADATA, CIFAR)
    pixels, _ = to_pixels(image, 32)
    np.testing.assert_allclose(found[0], (pixels / 255 - 0.5) / 0.25, rtol=0, atol=1e-6)


def test_grey_network_is_fed_one_channel(image):
    Image.open(image).convert("L").save(image)
    (found,) = encode(image, METADATA, Interface.of_images(1, 32, 10))
    assert found.shape == (1, 1, 32, 32)


def test_grey_network_is_fed_the_luminance_of_a_coloured_image(tmp_path):
    Image.new("RGB", (32, 32), (255, 0, 0)).save(tmp_path / "red.png")
    (found,) = encode(tmp_path / "red.png", METADATA, Interface.of_images(1, 32, 10))
    np.testing.assert_allclose(found, (76 / 255 - 0.5) / 0.25, atol=1e-6)  # 0.299 of 255


@pytest.mark.parametrize("channels", [1, 3])
def test_image_of_16_bits_is_fed_as_one_of_8(tmp_path, channels):
    values = np.random.default_rng(0).integers(0, 2**16, (32, 32), np.uint16)
    Image.fromarray(values).save(tmp_path / "deep.png")
    (found,) = encode(tmp_path / "deep.png", METADATA, Interface.of_images(channels, 32, 10))
    np.testing.assert_allclose(found[0], np.stack([((values >> 8) / 255 - 0.5) / 0.25] * channels), atol=1e-6)


def test_pipe_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(DataError, match="no regular file"):
        encode(tmp_path / "pipe.png", METADATA, CIFAR)


def test_image_of_too_many_pixels_is_refused_unless_the_training_allowed_it(image, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500)
    with pytest.raises(DataError, match="max_pixels"):
        encode(image, METADATA, CIFAR)
    assert encode(image, {**METADATA, "max_pixels": 32 * 32}, CIFAR)[0].shape == (1, 3, 32, 32)


@pytest.mark.parametrize("shape", [(1, 2, 8, 8), (1, 4, 8, 8), (1, 3, 8, 16)])
def test_network_of_other_images_is_refused(image, shape):
    with pytest.raises(UsageError, match="square and grey or RGB"):
        encode(image, METADATA, Interface((Port("x", shape),), (Port("y", (1, 3)),)))


@pytest.mark.parametrize("content", [b"", b"not an image", None])
def test_file_that_is_no_image_is_refused(tmp_path, content):
    path = tmp_path / "image.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=r"image that can be read, but .*image\.png"):
        encode(path, METADATA, CIFAR)


def test_what_the_machine_refuses_is_no_fault_of_the_image(image, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(paretonas.task.decode, "to_pixels", refuse)
    with pytest.raises(MachineError, match=r"image\.png cannot be read: Too many open files"):
        encode(image, METADATA, CIFAR)


def test_network_that_is_not_fed_images_alone_is_refused(image):
    vectors = Interface((Port("x", (1, 4)),), (Port("y", (1, 3)),))
    with pytest.raises(UsageError, match="fed to a network that takes one"):
        encode(image, METADATA, vectors)


# Words

WORDS = {"kind": "words", "words": ["<unk>", "<eos>", "a", "b"], "unknown": "<unk>", "end": "<eos>"}
ONE_STEP = Interface(
    (Port("tokens", (1,), "int64"), Port("h", (1, 2))), (Port("logits", (1, 4)), Port("h_out", (1, 2)))
)


@pytest.mark.parametrize(
    ("text", "fed"),
    [("a b", [2, 3]), ("a b\n", [2, 3, 1]), ("a c\nb", [2, 0, 1, 3]), ("\n", [1]), ("\ufeffa", [2])],
)
def test_a_text_is_fed_word_by_word_with_the_state_that_was_given(tmp_path, text, fed):
    (tmp_path / "text.txt").write_text(text, encoding="utf-8")
    seen = []

    def run(inputs):
        word, state = inputs
        assert (word.shape, word.dtype, state.dtype) == ((1,), np.int64, np.float32)
        seen.append((int(word[0]), float(state[0, 0])))
        return np.log(np.array([[1.0, 1.0, 1.0, 5.0]], np.float32)), state + 1

    assert predict(run, tmp_path / "text.txt", WORDS, ONE_STEP) == {"next": "b", "probability": 0.625}
    assert seen == [(word, float(i)) for i, word in enumerate(fed)]


def test_text_without_a_word_is_refused(tmp_path):
    (tmp_path / "text.txt").touch()
    with pytest.raises(DataError, match="has none"):
        predict(lambda inputs: inputs, tmp_path / "text.txt", WORDS, ONE_STEP)


def test_outputs_after_a_text_are_numbers(tmp_path):
    (tmp_path / "text.txt").write_text("a", encoding="utf-8")
    with pytest.raises(TrainingError, match="finite"):
        predict(lambda _: (np.full((1, 4), np.nan, np.float32),), tmp_path / "text.txt", WORDS, ONE_STEP)
