import numpy as np
import pytest
from pictures import coloured, prepare, write_tree

from paretonas.data.repeats import count_repeats, hash_images


def test_repeats_are_test_images_among_the_others():
    images = np.arange(5 * 4, dtype=np.uint8).reshape(5, 1, 2, 2)
    hashes = hash_images(images[[0, 1, 2, 2, 3, 0, 3, 4]])
    assert count_repeats(hashes, tested=4) == 1
    assert count_repeats(hashes, tested=3) == 2


@pytest.mark.parametrize("stream", [False, True])
def test_a_test_set_that_repeats_training_images_is_told_of(tmp_path, cache, stream):
    write_tree(tmp_path / "set", {"train/a": 10, "train/b": 10, "test/a": 2, "test/b": 2})
    assert prepare(tmp_path / "set", cache, stream=stream).notes == ()
    coloured(3).save(tmp_path / "set/test/a/again.png")
    for _ in range(2):  # the second time it is only opened
        (note,) = prepare(tmp_path / "set", cache, stream=stream).notes
        assert note.startswith("1 of 5 test images are among the others too, to the pixel")
