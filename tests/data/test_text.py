import gzip

import numpy as np
import pytest

from paretonas.data.text import END, UNKNOWN, find_texts, read_corpus, read_words
from paretonas.errors import DataError


@pytest.fixture
def folder(tmp_path):
    for name, text in {"train.txt": "a b a\n\nc a\n", "valid.txt": "a d\n", "test.txt": "<unk> c b\n"}.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def test_words_stand_between_spaces_and_lines_have_ends(folder):
    assert read_words(folder / "train.txt") == ["a", "b", "a", END, END, "c", "a", END]


@pytest.mark.parametrize("data", [b"a  b\r\nc\r\n", b"\xef\xbb\xbfa b\nc", b"a b \nc\n"])
def test_ends_of_lines_and_marks_of_other_systems_are_no_words(tmp_path, data):
    (tmp_path / "train.txt").write_bytes(data)
    assert read_words(tmp_path / "train.txt") == ["a", "b", END, "c", END]


def test_what_is_packed_is_unpacked(tmp_path):
    (tmp_path / "train.txt.gz").write_bytes(gzip.compress("ein Wört\n".encode()))
    assert read_words(tmp_path / "train.txt.gz") == ["ein", "Wört", END]


def test_vocabulary_is_that_of_the_training_text_with_the_frequent_words_first(folder):
    corpus = read_corpus(folder, most_words=100)
    assert corpus.words == (UNKNOWN, END, "a", "b", "c")
    assert [corpus.words[i] for i in corpus.train] == ["a", "b", "a", END, END, "c", "a", END]
    assert [corpus.words[i] for i in corpus.val] == ["a", UNKNOWN, END]
    assert corpus.train.dtype == np.int64


def test_words_outside_the_vocabulary_are_counted(folder):
    assert read_corpus(folder, most_words=100).unknown == {"train": 0, "val": 1, "test": 0}  # one is written so
    small = read_corpus(folder, most_words=3)
    assert small.words == (UNKNOWN, END, "a")
    assert small.unknown == {"train": 2, "val": 1, "test": 2}


@pytest.mark.parametrize(
    "names",
    [
        ("train.txt", "valid.txt", "test.txt"),
        ("train.txt", "val.txt", "test.txt"),
        ("training.text", "dev.text", "testing.text"),
        ("ptb.train.txt.gz", "ptb.valid.txt.gz", "ptb.test.txt.gz"),
        ("wiki.train.tokens", "wiki.valid.tokens", "wiki.test.tokens"),
        ("Train.TXT", "corpus-validation.txt", "my_test.txt"),
    ],
)
def test_names_say_the_part(tmp_path, names):
    for name in (*names, "README.txt", "trainer.txt", "train.csv", ".train.txt"):
        (tmp_path / name).touch()
    assert {part: file.name for part, file in find_texts(tmp_path).items()} == dict(
        zip(("train", "val", "test"), names, strict=True)
    )


def test_missing_text_is_named(folder):
    (folder / "valid.txt").unlink()
    with pytest.raises(DataError, match=r"one for each part, but for 'val' .* has none, such as valid\.txt"):
        find_texts(folder)


def test_two_texts_of_a_part_are_refused(folder):
    (folder / "ptb.char.train.txt").touch()
    with pytest.raises(DataError, match=r"for 'train' .* has ptb\.char\.train\.txt and train\.txt"):
        find_texts(folder)


def test_what_is_no_folder_is_refused(folder):
    with pytest.raises(DataError, match=r"Texts are a folder with train\.txt, valid\.txt, test\.txt, but .* is none"):
        find_texts(folder / "train.txt")


@pytest.mark.parametrize("text", ["", "\n", " \n \n"])
def test_text_without_words_is_refused(folder, text):
    (folder / "test.txt").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=r"A text has words, but .*test\.txt has none"):
        read_corpus(folder, 10)


def test_other_encodings_are_refused_with_the_place(tmp_path):
    (tmp_path / "train.txt").write_bytes("ein Wört".encode("latin-1"))
    with pytest.raises(DataError, match=r"A text is UTF-8, but .*train\.txt is not at byte 5: `iconv"):
        read_words(tmp_path / "train.txt")


@pytest.mark.parametrize("data", [b"no gzip", gzip.compress(b"cut off, this one", mtime=0)[:-12]])
def test_damaged_packed_text_is_refused(tmp_path, data):
    (tmp_path / "train.txt.gz").write_bytes(data)
    with pytest.raises(DataError, match=r"that can be read, but .*train\.txt\.gz"):
        read_words(tmp_path / "train.txt.gz")


def test_penn_treebank_has_the_published_counts(real_data):
    corpus = read_corpus(real_data / "ptb", 10_000)
    assert (len(corpus.train), len(corpus.val), len(corpus.test)) == (929_589, 73_760, 82_430)
    assert (len(corpus.words), set(corpus.unknown.values())) == (10_000, {0})
