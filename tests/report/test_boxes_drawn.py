"""Boxes of finalists as the report shows them, of numbers and images made by hand."""

import base64
import io
import json
import re

import pytest
from made import finish, made_store
from PIL import Image
from test_page import page, text

from paretonas.errors import SpecError, StoreError
from paretonas.report.boxes import Mark, Sight, boxes_found


def jpeg(size=(200, 100)):
    file = io.BytesIO()
    Image.new("RGB", size, "#808080").save(file, "JPEG")
    return base64.b64encode(file.getvalue()).decode()


def said(**changed):
    """What a finalist's file says of boxes."""
    classes = [
        {
            "name": "cat", "boxes": 12, "ap": 0.4, "ap50": 0.75, "threshold": 0.41, "precision": 0.9, "recall": 0.8,
        },
        {
            "name": "<dog>", "boxes": 0, "ap": None, "ap50": None, "threshold": None, "precision": None,
            "recall": None,
        },
    ]  # fmt: skip
    image = {
        "name": "a<b>.jpg",
        "width": 200,
        "height": 100,
        "jpeg": jpeg(),
        "truth": [{"name": "cat", "box": [10.0, 20.0, 60.5, 80.0]}, {"name": "<dog>", "box": [0, 0, 30, 30]}],
        "found": [{"name": "cat", "box": [12.0, 22.0, 62.0, 81.0], "score": 0.876}],
    }
    together = {"threshold": 0.37, "precision": 0.85, "recall": 0.7}
    return {"classes": classes, "all": together, "images": [image]} | changed


def first(place, **changed):
    """What is said, with the first of its classes or images changed."""
    rows = said()[place]
    return {place: [{**rows[0], **changed}, *rows[1:]]}


def test_what_is_said_is_read():
    found = boxes_found({"boxes": said()})
    assert [one.name for one in found.classes] == ["cat", "<dog>"]
    assert (found.all.threshold, found.images[0].found[0].text) == (0.37, "cat 0.88")
    assert boxes_found({"confusions": []}) is None


BROKEN = [
    {"images": None},
    {"all": {}},
    {"all": {"threshold": 2.0, "precision": 0.5, "recall": 0.5}},
    {"classes": [{"name": "cat"}]},
    first("classes", ap=float("nan")),
    first("classes", boxes=-1),
    first("classes", threshold="high"),
    first("images", jpeg="no base64!"),
    first("images", jpeg=base64.b64encode(b"<svg onload=alert(1)>").decode()),
    first("images", jpeg=jpeg() + "A" * 2**20),
    first("images", width=0),
    first("images", height=10**6),
    first("images", truth=[{"name": "cat", "box": [0.0, 0.0, 5.0]}]),
    first("images", truth=[{"name": "cat", "box": [9.0, 0.0, 5.0, 5.0]}]),
    first("images", truth=[{"name": "cat", "box": [0.0, 0.0, float("inf"), 5.0]}]),
    first("images", found=[{"name": "cat", "box": [0.0, 0.0, 5.0, 5.0], "score": 1.5}]),
    first("images", name=7),
]


@pytest.mark.parametrize("changed", BROKEN)
def test_what_cannot_be_is_refused(changed):
    with pytest.raises(SpecError, match="boxes"):
        boxes_found({"boxes": said(**changed)})


@pytest.mark.parametrize(
    ("box", "place"),
    [
        ((10.0, 50.0, 60.0, 90.0), (10.0, 47.72, "start")),  # above it
        ((10.0, 2.0, 60.0, 90.0), (10.0, 9.6, "start")),  # in it, where there is no room
        ((180.0, 50.0, 195.0, 90.0), (195.0, 47.72, "end")),  # to the left, at the right edge
        ((180.0, 50.0, 230.0, 90.0), (200.0, 47.72, "end")),
    ],
)
def test_names_stand_where_there_is_room(box, place):
    sight = Sight("a.jpg", 200, 100, jpeg(), (), ())
    assert sight.font == pytest.approx(7.6)
    x, y, end = sight.place(Mark("cat", box, 0.5))
    assert (pytest.approx(x), pytest.approx(y), end) == place


# On the page


def told(home, details, trial=1):
    file = home / "s" / f"trial-{trial}.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "details": details}))


@pytest.fixture
def finished(tmp_path):
    store = made_store(tmp_path)
    finish(store, tmp_path, "s", store.trials("s")[1], 0.90, 1.3)
    return store


def test_classes_are_a_table_and_images_have_truth_and_boxes(finished, tmp_path):
    told(tmp_path, {"boxes": said()})
    html = page(finished, tmp_path)
    shown = text(html)
    assert "Which boxes are found" in shown
    assert "one threshold for all classes together: precision 85.0 %, recall 70.0 % of 12 boxes" in shown
    assert "cat 12 40.0 % 75.0 % 0.41 90.0 % 80.0 % <dog> 0 - - - - -" in shown
    assert "to be found found, with its score (0.37 or more)" in shown
    assert "a<b>.jpg: 2 to be found, 1 found" in shown
    drawing = html[html.index('<div class="sights">') :]
    drawing = drawing[: drawing.index("</figure>")]
    assert drawing.count("data:image/jpeg;base64,") == 1
    assert drawing.count('<use href="#sight-1-1"/>') == 1
    assert len(re.findall(r'<rect [^>]*class="truth">', drawing)) == 4  # in both
    assert 'x="12.0" y="22.0" width="50.0" height="59.0" class="found"><title>cat 0.88</title>' in drawing
    assert re.findall(r"<text [^>]*>([^<]*)</text>", drawing) == ["&lt;dog&gt;", "cat", "cat 0.88"]
    assert "<dog>" not in html


def test_many_classes_are_folded(finished, tmp_path):
    row = said()["classes"][0]
    told(tmp_path, {"boxes": said(classes=[{**row, "name": f"kind{i}"} for i in range(25)])})
    html = page(finished, tmp_path)
    assert "<summary>All 25 classes</summary>" in html
    assert "kind24 12 40.0 %" in text(html)


def test_where_nothing_is_found_there_is_no_threshold(finished, tmp_path):
    nothing = {"threshold": None, "precision": None, "recall": None}
    told(tmp_path, {"boxes": said(all=nothing, images=[])})
    shown = text(page(finished, tmp_path))
    assert "Which boxes are found" in shown
    assert "one threshold for all" not in shown
    assert 'class="sights"' not in page(finished, tmp_path)


def test_a_finalist_of_other_tasks_has_none(finished, tmp_path):
    assert "Which boxes are found" not in text(page(finished, tmp_path))


@pytest.mark.parametrize("changed", BROKEN)
def test_boxes_that_cannot_be_are_a_damaged_file(finished, tmp_path, changed):
    told(tmp_path, {"boxes": said(**changed)})
    with pytest.raises(StoreError, match=r"trial-1\.json"):
        page(finished, tmp_path)
