import numpy as np
import pytest
from PIL import Image

from paretonas.report.marking import marked

GREY = Image.new("RGB", (200, 100), "#808080")


def changed(seen):
    return np.abs(np.asarray(marked(GREY, seen)).astype(int) - np.asarray(GREY)).max(2) > 0


def test_a_box_is_drawn_where_it_is_with_its_name():
    found = changed({"boxes": [{"class": "cat", "score": 0.9, "box": [50.0, 40.0, 150.0, 90.0]}]})
    assert found[40, 50:151].all()
    assert found[90, 50:151].all()
    assert not found[60:85, 60:140].any()
    assert found[30:40, 50:60].any()  # the name above it
    assert np.asarray(GREY).std() == 0  # the image stays as it was


@pytest.mark.parametrize(
    "seen",
    [
        {"boxes": []},
        {"boxes": [{"class": "é", "score": 1.0, "box": [0.0, 0.0, 0.0, 0.0]}]},
        {"class": "cat", "probability": 1},
    ],
)
def test_whatever_was_seen_is_drawn(seen):
    assert changed(seen).any() == (seen != {"boxes": []})


def test_classes_have_colours_of_their_own():
    boxes = [
        {"class": name, "score": 0.5, "box": [10.0 + 60 * i, 50.0, 50.0 + 60 * i, 90.0]} for i, name in enumerate("abc")
    ]
    image = np.asarray(marked(GREY, {"boxes": boxes}))
    assert len({tuple(image[90, 30 + 60 * i]) for i in range(3)}) == 3
