"""Places in a `data.yaml` that came from another machine with its images."""

import pytest
from boxed import find, refuses, said, write, write_yolo

WHOLE = "0 0.5 0.5 1 1"


def two_splits(folder, train, val):
    """A data set as Roboflow lays it out, whose description says these places."""
    for split in ("train", "valid"):
        write_yolo(folder, {"0": WHOLE, "1": WHOLE}, images=f"{split}/images", labels=f"{split}/labels")
        lines = (f"/home/me/cells/{split}/images/{i}.jpg\n" for i in range(2))
        write(folder / f"{split}.txt", "".join(lines))
    write(folder / "data.yaml", f"train: {train}\nval: {val}\nnames: [cat]\n")
    return folder


@pytest.mark.parametrize(
    "place",
    [
        "/content/cells-1/{}/images", "C:\\Users\\me\\cells\\{}\\images", "cells-1/{}/images", "../../cells/{}/images",
        "/content/cells-1/{}", "/content/{}.txt",
    ],
)  # fmt: skip
def test_places_of_another_machine_are_found_by_what_they_end_in(tmp_path, place):
    train, val = place.format("train"), place.format("valid")
    found = find(two_splits(tmp_path / "Meine Zellen ü", train, val))
    assert found.splits.tolist() == ["train"] * 2 + ["val"] * 2
    assert [name.partition("/")[0] for name in found.names] == ["train"] * 2 + ["valid"] * 2
    assert said(found, f"{train!r} of train is not there: ")
    assert said(found, f"{val!r} of val is not there: ")


def test_a_place_that_ends_in_no_split_is_not_guessed(tmp_path):
    """Both end in `images`, which may be of either."""
    folder = two_splits(tmp_path, "/a/images", "/b/images")
    (folder / "images").mkdir()
    refuses(folder, "for '/a/images' of train there is no /a/images. Correct it there")


def test_places_that_are_there_are_taken_as_they_stand(tmp_path):
    folder = two_splits(tmp_path / "here", "train/images", str(tmp_path / "there/valid/images"))
    write_yolo(tmp_path / "there", {"7": WHOLE, "8": WHOLE}, images="valid/images", labels="valid/labels")
    assert [name[-5:] for name in find(folder).names] == ["0.jpg", "1.jpg", "7.jpg", "8.jpg"]
