import math
from dataclasses import replace

import numpy as np

from paretonas.data.boxes import Annotated, Row, join, name_few, short, to_table


def annotated(first, count, **changed):
    """Images called by numbers from `first` on, each with a box in line 1 of its file."""
    names = [str(first + i) for i in range(count)]
    return Annotated(
        names=names,
        places=[None] * count,
        files=[f"{name}.txt" for name in names],
        splits=np.full(count, "train"),
        stated=np.full((count, 2), math.nan),
        rows=to_table([Row(i, 1, 0, 1.0, 2.0, 3.0, first + i, i % 2 == 1) for i in range(count)]),
        classes=("cat",),
        numbering="{file} line {number}",
        **changed,
    )


def test_files_are_joined_with_their_images_renumbered():
    parts = [
        annotated(0, 2, lost={1: "gone"}, faults={"a": "b"}, notes=("said",)),
        annotated(2, 3, lost={0: "gone"}, notes=("said", "more")),
    ]
    whole = join(parts)
    assert whole.names == list("01234")
    assert whole.owners.tolist() == [0, 1, 2, 3, 4]
    assert whole.corners[:, 3].tolist() == [0, 1, 2, 3, 4]
    assert whole.is_ignored.tolist() == [False, True, False, True, False]
    assert whole.labels.tolist() == [0] * 5
    assert whole.lost == {1: "gone", 2: "gone"}
    assert (whole.faults, whole.notes) == ({"a": "b"}, ("said", "more"))
    assert whole.name_row(3) == "3.txt line 1"


def test_one_file_is_joined_to_itself():
    alone = annotated(0, 2)
    assert join([alone]).rows.tolist() == alone.rows.tolist()
    assert len(join([replace(alone, rows=to_table([]))]).rows) == 0


def test_names_are_shown_up_to_three():
    assert (name_few([]), name_few(["a", "b", "c"])) == ("", "a, b, c")


def test_whatever_a_file_says_is_shown_in_a_line():
    for value in ("x" * 10**6, [[[["x"] * 99] * 99] * 99] * 99, {i: {i: i} for i in range(999)}, 1 << 99_999):
        assert len(short(value)) < 300
