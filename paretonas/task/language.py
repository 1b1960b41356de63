"""Language modelling: which word comes next."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from paretonas.data.augment import seed_of
from paretonas.data.text import END, UNKNOWN, Corpus, Ids, find_texts, read_corpus
from paretonas.errors import DataError, SpecError, TrainingError
from paretonas.files import Folder
from paretonas.network import build
from paretonas.space import Interface, Spec
from paretonas.space.interface import MOST_CLASSES
from paretonas.task.metadata import Words
from paretonas.task.recipe import Recipe
from paretonas.task.task import At, Batch, Part, Run, Task, Usual
from paretonas.zoo import zoo_spec

LONGEST_WINDOW = 10_000
PIECES = 64
"""Pieces of a text that are scored side by side, each from a state of zeros."""
SHORTEST_PIECE = 100
"""Words of such a piece, if the text is long enough."""


@dataclass(frozen=True)
class Language(Task):
    """Which word comes next in a text; scored by perplexity.

    An example is a window of words. The N examples of a batch are of N places of the text; those of the next batch go
    on where they ended, with the states that these left, through which no gradient flows: truncated back-propagation
    through time. Each pass over the text begins at another word, with states of zeros.

    Args:
        data: A folder with `train.txt`, `valid.txt` and `test.txt`: see `paretonas.data.text`.
        window: Words through which gradients flow.
        vocabulary: Most words that are told apart; the rarest training words beyond, and words of the other texts that
            the training text lacks, are `<unk>`.
        train_share: Share of the training text, from its beginning, that a search learns from.

    Raises:
        DataError: A number out of its range.

    Source: Zaremba et al., Recurrent Neural Network Regularization, 2014, section 4.1, whose window has 35 words.
    """

    data: str
    window: int = 35
    vocabulary: int = 10_000
    train_share: float = 1.0

    quality: ClassVar[str] = "perplexity"

    def __post_init__(self) -> None:
        if not 1 <= self.window <= LONGEST_WINDOW or not 3 <= self.vocabulary <= MOST_CLASSES:
            raise DataError(
                f"`1 <= window <= {LONGEST_WINDOW}` and `3 <= vocabulary <= {MOST_CLASSES}` must hold, but got "
                f"(window={self.window}, vocabulary={self.vocabulary})."
            )
        if not 0 < self.train_share <= 1:
            raise DataError(f"`0 < train_share <= 1` must hold, but got (train_share={self.train_share}).")
        object.__setattr__(self, "data", str(Path(self.data).expanduser().resolve()))

    def __getstate__(self) -> dict[str, Any]:
        return {**{f.name: getattr(self, f.name) for f in fields(self)}, "_folder": Folder(Path(self.data))}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, data=str(state["_folder"].path))

    @property
    def corpus(self) -> Corpus:
        """The texts, read once in a process."""
        files = find_texts(Path(self.data)).values()
        stamps = tuple((file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files)
        return _read(self.data, self.vocabulary, stamps)

    @property
    def usual(self) -> Usual:
        return Usual("nas-rl-recurrent", "language-search", "language")

    @property
    def unused(self) -> tuple[str, ...]:
        return ("min_area", "min_side", "branch_scale", "mixup", "cutmix", "drop_path", "auxiliary")

    @property
    def interface(self) -> Interface:
        return Interface.of_words(len(self.corpus.words))

    @property
    def digest(self) -> str:
        corpus, options = self.corpus, f"{self.window} {self.train_share}"
        digest = hashlib.sha256("\n".join((*corpus.words, options)).encode())
        for ids in (corpus.train, corpus.val, corpus.test):
            digest.update(ids.tobytes() + b"|")
        return digest.hexdigest()[:16]

    @property
    def typical(self) -> Spec:
        return zoo_spec("lstm:hidden=200")

    @property
    def examples(self) -> Mapping[Part, int]:
        parts: tuple[Part, ...] = ("train", "val", "test", "full_train")
        return {part: (len(self._text(part)) - 1) // self.window for part in parts}

    @property
    def metadata(self) -> Mapping[str, Any]:
        return Words("words", self.corpus.words, UNKNOWN, END).to_json()

    def about(self) -> tuple[str, ...]:
        corpus, named = self.corpus, {"train": "training", "val": "validation", "test": "test"}
        counts = f"{len(self._text('train')):,} of {len(corpus.train):,} training, "
        counts += f"{len(corpus.val):,} validation, {len(corpus.test):,} test"
        outside = ", ".join(f"{corpus.unknown[part]:,} {name}" for part, name in named.items() if corpus.unknown[part])
        lines = [f"data {self.data}: {counts} words, {len(corpus.words):,} in the vocabulary"]
        return (*lines, f"outside the vocabulary, so {UNKNOWN}: {outside} words") if outside else tuple(lines)

    def network(self, spec: Spec, recipe: Recipe) -> nn.Module:
        """A network that also learns many steps at once, by a method `sequence`; see `RecurrentNetwork`."""
        network = build(spec, spec.with_state(self.interface), recipe.dropout)
        if not callable(getattr(network, "sequence", None)):
            raise SpecError(
                f"A network of the task language has a method `sequence`, but {type(network).__name__} of a spec of "
                f"kind {spec.kind!r} has none. Search the space nas-rl-recurrent."
            )
        return network

    def batches(self, part: Part, recipe: Recipe, seed: int, steps: range) -> Iterator[Batch]:
        """Words and those after them, int64 (N, window) each, and whether a pass over the text begins."""
        ids, examples = self._text(part), self.examples[part]
        streams = recipe.batch_of(examples)
        per_epoch = examples // streams
        length, epoch = per_epoch * self.window, -1
        for step in steps:
            if step // per_epoch != epoch:
                epoch = step // per_epoch
                begun = np.roll(ids, -Random(seed_of(seed, "text", epoch)).randrange(len(ids)))
                words, after = (begun[i : i + streams * length].reshape(streams, length) for i in (0, 1))
            at = step % per_epoch * self.window
            window = slice(at, at + self.window)
            yield torch.from_numpy(words[:, window].copy()), torch.from_numpy(after[:, window].copy()), at == 0

    def loss(self, model: nn.Module, batch: Batch, at: At) -> Tensor:
        """Cross-entropy a word; the states that the batch leaves are kept for the next step."""
        words, after, is_begun = batch
        states = () if is_begun else (at.kept.get("h"), at.kept.get("c"))
        logits, h, c = model.sequence(words, *states)  # type: ignore[operator]
        at.kept.update(h=h.detach(), c=c.detach())
        by_step = logits.transpose(0, 1).flatten(0, 1)  # as they lie in memory
        return F.cross_entropy(by_step, after.t().flatten(), label_smoothing=at.recipe.label_smoothing)

    def score(self, run: Run, part: Part) -> dict[str, float]:
        ids = self._text(part)
        pieces = max(1, min(PIECES, len(ids) // SHORTEST_PIECE))
        length = -(-(len(ids) - 1) // pieces)
        words, after = (np.resize(ids[i:], (pieces, length)).T.copy() for i in (0, 1))
        is_scored = (np.arange(pieces * length) < len(ids) - 1).reshape(pieces, length).T  # the last piece is filled up
        total, states = 0.0, tuple[NDArray[Any], ...]()
        for step in range(length):
            logits, *others = run((words[step], *states))
            losses = F.cross_entropy(torch.from_numpy(logits), torch.from_numpy(after[step]), reduction="none")
            total += float(losses.numpy()[is_scored[step]].sum(dtype=np.float64))
            states = tuple(others)
        return {"perplexity": _perplexity(total / (len(ids) - 1))}

    def _text(self, part: Part) -> Ids:
        """Numbers of the words of a part.

        Raises:
            DataError: It is shorter than a window and the word after it.
        """
        corpus = self.corpus
        ids = {
            "train": corpus.train[: round(self.train_share * len(corpus.train))],
            "val": corpus.val,
            "test": corpus.test,
            "full_train": np.concatenate([corpus.train, corpus.val]),
        }[part]
        if len(ids) <= self.window:
            raise DataError(
                f"Each part of a text has more words than its window, but of {part!r} there are {len(ids)} and "
                f"(window={self.window}, train_share={self.train_share})."
            )
        return ids


def _perplexity(loss: float) -> float:
    """Of a mean cross-entropy.

    Raises:
        TrainingError: It is not a finite number.

    >>> round(_perplexity(math.log(80.0)), 6)
    80.0
    """
    try:
        perplexity = math.exp(loss)
    except OverflowError:
        perplexity = math.inf
    if not math.isfinite(perplexity):
        raise TrainingError(f"A network has a finite perplexity, but its loss a word is {loss}: training diverged.")
    return perplexity


@lru_cache(maxsize=2)
def _read(folder: str, vocabulary: int, stamps: tuple[tuple[str, int, int], ...]) -> Corpus:
    """`stamps` tell changed files apart."""
    return read_corpus(Path(folder), vocabulary)
