"""Texts for language models: a folder with one file for each part, read as words.

Words stand between spaces, and each line ends in `<eos>`. The vocabulary is that of the training text; what is outside
it is `<unk>`.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from paretonas.errors import DataError
from paretonas.files import is_refusal, open_regular

END, UNKNOWN = "<eos>", "<unk>"
PARTS = {
    "train": "train", "training": "train", "valid": "val", "validation": "val", "val": "val", "dev": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
"""Words in the name of a file -> the part that it holds."""
NEEDED = {"train": "train.txt", "val": "valid.txt", "test": "test.txt"}
"""Parts, and how their files may be called."""
SUFFIX = re.compile(r"\.(txt|text|tokens)(\.gz)?$", re.IGNORECASE)

Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Corpus:
    """A text in three parts, as numbers of words.

    Args:
        words: The vocabulary: `<unk>`, `<eos>`, then the others, frequent ones first.
        train: (n,) indices into `words`, in the order of the text; so are the next two.
        val: Of the validation text.
        test: Of the test text.
        unknown: How many words of each part are outside the vocabulary.
    """

    words: tuple[str, ...]
    train: Ids
    val: Ids
    test: Ids
    unknown: Mapping[str, int]


def read_corpus(folder: Path, most_words: int) -> Corpus:
    """Read the three texts of a folder.

    Args:
        folder: With files whose names say their part: see `find_texts`.
        most_words: Size of the vocabulary: the most frequent training words, and `<unk>` and `<eos>`.

    Raises:
        DataError: A text is missing, cannot be read, or has no words.
    """
    texts = {part: read_words(file) for part, file in find_texts(folder).items()}
    words = vocabulary(texts["train"], most_words)
    number = {word: i for i, word in enumerate(words)}
    unknown, outside = number[UNKNOWN], dict[str, int]()
    ids = {part: np.array([number.get(word, unknown) for word in text], np.int64) for part, text in texts.items()}
    for part, text in texts.items():
        outside[part] = int((ids[part] == unknown).sum()) - text.count(UNKNOWN)
    return Corpus(words, ids["train"], ids["val"], ids["test"], outside)


def find_texts(folder: Path) -> dict[str, Path]:
    """The file of each part: `train.txt`, `valid.txt` (`val`, `validation`, `dev`) and `test.txt`.

    More may stand before the part (`ptb.train.txt`); `.tokens` and `.text` are text too; what has `.gz` after it is
    unpacked.

    Raises:
        DataError: No folder, or none or several of a part.
    """
    if not folder.is_dir():
        raise DataError(f"Texts are a folder with {', '.join(NEEDED.values())}, but {folder} is none.")
    found: dict[str, list[Path]] = {part: [] for part in NEEDED}
    for file in sorted(folder.iterdir()):
        named = {PARTS[word] for word in re.split(r"[._-]", file.name.lower()) if word in PARTS}
        if SUFFIX.search(file.name) and len(named) == 1 and not file.name.startswith("."):
            found[named.pop()].append(file)
    for part, files in found.items():
        if len(files) != 1:
            several = " and ".join(file.name for file in files) or f"none, such as {NEEDED[part]}"
            raise DataError(f"A folder of texts has one for each part, but for {part!r} {folder} has {several}.")
    return {part: files[0] for part, files in found.items()}


def read_words(file: Path) -> list[str]:
    """The words of a text.

    Raises:
        DataError: It cannot be read, is not UTF-8, or has no words.
    """
    words = words_of(read_text(file))
    if not set(words) - {END}:
        raise DataError(f"A text has words, but {file} has none.")
    return words


def words_of(text: str) -> list[str]:
    r"""Its words, with `<eos>` after each line.

    >>> words_of("a b\nc")
    ['a', 'b', '<eos>', 'c', '<eos>']
    """
    lines = text.replace("\r\n", "\n").removesuffix("\n").split("\n")
    return [word for line in lines for word in (*line.split(), END)]


def read_text(file: Path) -> str:
    """What a file of UTF-8 says.

    Raises:
        DataError: It cannot be read, or is not UTF-8.
    """
    try:
        with open_regular(file) as opened:
            data = opened.read()
        return (gzip.decompress(data) if file.suffix.lower() == ".gz" else data).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"A text is UTF-8, but {file} is not at byte {error.start}: "
            f"`iconv -f LATIN1 -t UTF-8 {file.name}`, if that is what it is."
        ) from None
    except (OSError, EOFError, ValueError, zlib.error) as error:
        if is_refusal(error):
            raise
        raise DataError(f"A text is a file that can be read, but {file}: {error}.") from error


def vocabulary(text: Sequence[str], most_words: int) -> tuple[str, ...]:
    """`<unk>`, `<eos>` and the most frequent of the other words, in alphabetical order where they are as frequent.

    >>> vocabulary("b a b <eos>".split(), 3)
    ('<unk>', '<eos>', 'b')
    """
    counts = Counter(text)
    others = sorted((word for word in counts if word not in (END, UNKNOWN)), key=lambda word: (-counts[word], word))
    return (UNKNOWN, END, *others[: most_words - 2])
