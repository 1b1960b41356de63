import json

import pytest

from paretonas.errors import SpecError, UsageError
from paretonas.space import Interface, Port
from paretonas.task.metadata import ImageClasses, check_metadata

TOLD = ImageClasses.of(("cat", "dog"), 3, (0.5, 0.25)).to_json()
RGB = Interface.of_images(channels=3, resolution=32, classes=2)


def test_what_is_told_is_json_and_fits_its_network():
    assert TOLD == {
        "kind": "classes", "classes": ["cat", "dog"], "colours": "RGB", "layout": "NCHW", "resize": "shorter-side",
        "crop": "center", "interpolation": "bilinear-antialiased", "mean": 0.5, "std": 0.25,
    }  # fmt: skip
    assert json.loads(json.dumps(TOLD)) == TOLD
    check_metadata({**TOLD, "search": "cats", "trial": 3}, RGB)
    grey = ImageClasses.of(("cat", "dog"), 1, (0.5, 0.25)).to_json()
    check_metadata({**grey, "max_pixels": 10**9}, Interface.of_images(1, 32, 2))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "sounds"}, "kind is one of 'boxes', 'classes', 'words', but got 'sounds'"),
        ({"classes": "cat,dog"}, "classes is a list"),
        ({"classes": [1, 2]}, r"classes\[0\] is of type str"),
        ({"classes": []}, "one class or more"),
        ({"mean": "0.5"}, "mean is of type float"),
        ({"mean": float("nan")}, "`0 <= mean <= 1`"),
        ({"std": 0.0}, "`std > 0`"),
        ({"std": float("inf")}, "`std > 0`"),
        ({"interpolation": "bicubic"}, "interpolation is one of 'bilinear-antialiased'"),
        ({"layout": "NHWC"}, "layout is one of 'NCHW'"),
        ({"max_pixels": -1}, "`max_pixels > 0`"),
        ({"max_pixels": 1.5}, "max_pixels is of type int"),
    ],
)
def test_what_cannot_be_is_refused(change, message):
    with pytest.raises(UsageError, match=f"metadata.*{message}"):
        check_metadata(TOLD | change, RGB)


@pytest.mark.parametrize("metadata", [{}, {"author": "Jane Doe"}])
def test_a_file_that_says_nothing_is_refused_with_a_remedy(metadata):
    with pytest.raises(UsageError, match=r"metadata lacks 'kind'.*`paretonas export` writes one"):
        check_metadata(metadata, RGB)


@pytest.mark.parametrize(
    "interface",
    [
        Interface.of_images(3, 32, 3),
        Interface.of_images(1, 32, 2),
        Interface((Port("x", (1, 3)),), (Port("y", (1, 2)),)),
        Interface((Port("x", (1, 3, 32, 32)),), (Port("y", (1,)),)),
    ],
)
def test_a_network_that_does_not_fit_is_refused(interface):
    with pytest.raises(UsageError, match="RGB images and 2 classes do not fit"):
        check_metadata(TOLD, interface)


def test_numbers_are_checked_where_they_are_told():
    with pytest.raises(SpecError, match="`std > 0`"):
        ImageClasses.of(("cat",), 3, (0.5, 0.0))


WORDS = {"kind": "words", "words": ["<unk>", "<eos>", "a"], "unknown": "<unk>", "end": "<eos>"}
ONE_STEP = Interface(
    (Port("tokens", (1,), "int64"), Port("h", (1, 2))), (Port("logits", (1, 3)), Port("h_out", (1, 2)))
)


def test_words_of_a_recurrent_network_are_taken():
    check_metadata({**WORDS, "trial": 3}, ONE_STEP)
    check_metadata(WORDS, Interface.of_words(3))


@pytest.mark.parametrize(
    ("change", "interface", "message"),
    [
        ({"words": ["<eos>", "a"]}, ONE_STEP, "not <unk>, <eos>"),
        ({"end": 1}, ONE_STEP, "end is of type str"),
        ({"words": [*WORDS["words"], "b"]}, ONE_STEP, "4 words do not fit"),
        ({}, Interface.of_images(3, 32, 3), "3 words do not fit"),
        ({}, Interface(ONE_STEP.inputs, ONE_STEP.outputs[:1]), "3 words do not fit"),
    ],
)
def test_words_that_do_not_fit_are_refused(change, interface, message):
    with pytest.raises(UsageError, match=message):
        check_metadata({**WORDS, **change}, interface)
