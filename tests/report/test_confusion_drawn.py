"""Heat maps and the most confused pairs, of counts made by hand."""

import json
import re

import pytest
from made import finish, made_store
from test_page import page, text

from paretonas.errors import StoreError
from paretonas.report.confusion import MOST_DRAWN, MOST_PAIRS, confusion_of

CLASSES = ("cat", "dog", "fox")
CONFUSED = [(0, 0, 6), (0, 1, 2), (1, 1, 3), (1, 0, 1)]  # foxes have no examples


def test_rows_are_of_classes_with_shares_of_their_examples():
    found = confusion_of(7, CLASSES, CONFUSED)
    assert (found.trial, found.classes) == (7, CLASSES)
    assert [[cell.count for cell in row] for row in found.rows] == [[6, 2, 0], [1, 3, 0], [0, 0, 0]]
    assert [[cell.share for cell in row] for row in found.rows[:2]] == [[0.75, 0.25, 0.0], [0.25, 0.75, 0.0]]
    assert [cell.is_right for cell in found.rows[1]] == [False, True, False]


def test_pairs_are_those_that_are_confused_most_often():
    pairs = confusion_of(7, CLASSES, CONFUSED).pairs
    assert [(pair.shown, pair.taken_for, pair.cell.count, pair.of) for pair in pairs] == [
        ("cat", "dog", 2, 8),
        ("dog", "cat", 1, 4),
    ]
    many = [(a, b, a + b) for a in range(5) for b in range(5) if a != b]
    counts = [pair.cell.count for pair in confusion_of(0, "abcde", many).pairs]
    assert counts == sorted((n for _, _, n in many), reverse=True)[:MOST_PAIRS]


def test_many_classes_are_summed_up_by_their_pairs():
    names = [f"class {i}" for i in range(MOST_DRAWN + 1)]
    found = confusion_of(0, names, [(0, 0, 5), (20, 3, 4)])
    assert (found.classes, found.rows) == ((), ())
    assert [(pair.shown, pair.taken_for) for pair in found.pairs] == [("class 20", "class 3")]
    assert confusion_of(0, names[:-1], [(0, 0, 5)]).classes == tuple(names[:-1])


def test_of_nothing_nothing_is_shown():
    assert confusion_of(0, CLASSES, []) is None
    assert confusion_of(0, CLASSES, [(0, 0, 5)]).pairs == ()


def test_colours_grow_with_the_share():
    (right, wrong, _), *_ = confusion_of(0, CLASSES, CONFUSED).rows
    assert right.style.startswith("background: rgba(31, 122, 77, 0.75); color: #fff")
    assert wrong.style.startswith("background: rgba(179, 55, 43, 0.50); color: inherit")


# On the page


def told(home, name, trial, confusions, classes="abcdefghij"):
    """Write what a finalist's file says of its classes."""
    file = home / name / f"trial-{trial}.json"
    data = json.loads(file.read_text())
    file.write_text(json.dumps({**data, "classes": list(classes), "details": {"confusions": confusions}}))


@pytest.fixture
def finished(tmp_path):
    store = made_store(tmp_path)
    finish(store, tmp_path, "s", store.trials("s")[1], 0.90, 1.3)
    return store


def test_a_finalists_heat_map_has_the_names_of_the_classes(finished, tmp_path):
    told(tmp_path, "s", 1, [[0, 0, 6], [0, 1, 2], [1, 1, 3]], ["cat", "<dog>"])
    html = page(finished, tmp_path)
    said = text(html)
    assert "Which classes are taken for which" in said
    assert "Trial 1 cat <dog> cat 6 2 <dog> 3 The pairs that it confuses most" in said
    assert "cat <dog> 2 8 25.0 %" in said
    assert '<td class="n" style="background: rgba(31, 122, 77, 0.75); color: #fff" title="75.0 %">6</td>' in html
    assert "<details><summary>The pairs" in html
    assert not re.search(r"<dog>", html)


def test_of_many_classes_the_pairs_stand_open(finished, tmp_path):
    told(tmp_path, "s", 1, [[0, 0, 6], [24, 3, 4]], [f"kind{i}" for i in range(25)])
    html = page(finished, tmp_path)
    assert "<details open><summary>The pairs" in html
    assert "kind24 kind3 4 4 100.0 %" in text(html)
    assert 'class="heat"' not in html


def test_a_finalist_without_them_has_none(finished, tmp_path):
    assert "Which classes are taken for which" not in text(page(finished, tmp_path))


@pytest.mark.parametrize("rows", [[[0, 10, 1]], [[-1, 0, 1]], [[0, 0, 0]], [[0, 1]], [["a", 0, 1]], {"a": 1}])
def test_confusions_that_cannot_be_are_a_damaged_file(finished, tmp_path, rows):
    told(tmp_path, "s", 1, rows)
    with pytest.raises(StoreError, match=r"trial-1\.json"):
        page(finished, tmp_path)
