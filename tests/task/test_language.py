import math
import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from paretonas.errors import DataError, SpecError, TrainingError
from paretonas.space import ForeignSpec
from paretonas.space.recurrent import RecurrentSpec
from paretonas.task.language import Language
from paretonas.task.recipe import Recipe
from paretonas.task.task import At
from paretonas.testing.task import TaskContract
from paretonas.training.fit import Session, as_run, fit
from paretonas.training.state import StateFile

SMALL = RecurrentSpec(None, hidden=8, layers=2)
PLAIN = Recipe(batch_size=8, epochs=2.0, optimizer="adamw", lr=0.1, layout="contiguous", precision="float32")


@pytest.fixture
def folder(tmp_path):
    """Words of which each has a usual follower."""
    rng = random.Random(0)
    for name, length in {"train": 900, "valid": 301, "test": 60}.items():
        words = ["w0"]
        while len(words) < length:
            words.append(f"w{(int(words[-1][1:]) + rng.choice([1, 1, 1, 2])) % 9}")
        lines = [" ".join(words[i : i + 20]) for i in range(0, length, 20)]
        (tmp_path / f"{name}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return tmp_path


@pytest.fixture
def task(folder):
    return Language(str(folder), window=5)


@pytest.fixture
def model(task):
    torch.manual_seed(0)
    return task.network(SMALL, PLAIN)


class TestLanguage(TaskContract):
    @pytest.fixture
    def task(self, folder):
        return Language(str(folder), window=5)

    @pytest.fixture
    def spec(self, task):
        return SMALL


def test_examples_are_windows_of_words_with_one_after_them(task):
    lengths = {"train": 945, "val": 317, "test": 63, "full_train": 945 + 317}  # with the ends of lines
    assert task.examples == {part: (length - 1) // 5 for part, length in lengths.items()}
    assert replace(task, train_share=0.5).examples["train"] == (472 - 1) // 5
    assert replace(task, train_share=0.5).examples["full_train"] == task.examples["full_train"]


def test_interface_has_the_words_of_the_training_text(task):
    assert task.interface.outputs[0].shape == (1, 11)
    assert replace(task, vocabulary=5).interface.outputs[0].shape == (1, 5)


def test_digest_changes_with_texts_and_options(task, folder):
    digests = {task.digest, *(replace(task, **{k: v}).digest for k, v in
               {"window": 6, "vocabulary": 5, "train_share": 0.5}.items())}  # fmt: skip
    (folder / "test.txt").write_text("w1 w2 w3 w4 w5 w6\n", encoding="utf-8")
    assert len(digests | {task.digest}) == 5


def test_lines_tell_of_words_outside_the_vocabulary(task):
    (line,) = task.about()
    assert "945 of 945 training, 317 validation, 63 test words, 11 in the vocabulary" in line
    _, outside = replace(task, vocabulary=5).about()
    assert "outside the vocabulary, so <unk>: " in outside
    assert "test words" in outside


# Batches


def test_a_stream_goes_on_where_it_ended(task):
    per_epoch = task.examples["train"] // 8
    batches = list(task.batches("train", PLAIN, 0, range(2 * per_epoch)))
    assert [is_begun for *_, is_begun in batches] == ([True] + [False] * (per_epoch - 1)) * 2
    for epoch in (batches[:per_epoch], batches[per_epoch:]):
        words, after = (torch.cat([batch[i] for batch in epoch], dim=1) for i in (0, 1))
        assert torch.equal(words[:, 1:], after[:, :-1])
        assert torch.equal(words[1:, 0], after[:-1, -1])  # streams are pieces of one text
    assert not torch.equal(batches[0][0], batches[per_epoch][0])


def test_the_state_of_a_step_is_kept_for_the_next_without_gradients(task, model):
    fed = []
    sequence = model.sequence
    model.sequence = lambda words, *states: (fed.append(states), sequence(words, *states))[1]
    kept = {}
    for step, batch in enumerate(task.batches("train", PLAIN, 0, range(2))):
        task.loss(model, batch, At(step, 10, 0, PLAIN, kept)).backward()
        assert not kept["h"].requires_grad
        assert kept["h"].shape == (8, 2, 8)
    assert fed[0] == ()
    assert all(bool(state.any()) for state in fed[1])


def test_an_interrupted_training_goes_on_to_the_identical_losses(task, tmp_path):
    def train(state=None, until=1.0):
        torch.manual_seed(0)
        recipe = replace(PLAIN, dropout=0.2)
        return fit(task.network(SMALL, recipe), task, recipe, 3, Session(state=state, until=until)).losses

    whole, state = train(), StateFile(tmp_path / "state", {}, every=0.0)
    assert train(state, until=0.4) == whole[: round(0.4 * len(whole))]
    assert train(state) == whole


# Scoring


def test_perplexity_of_a_network_that_knows_nothing_is_the_number_of_words(task):
    def run(inputs):
        return (np.zeros((len(inputs[0]), 11), np.float32),)

    assert task.score(run, "val")["perplexity"] == pytest.approx(11.0)


def test_perplexity_is_over_all_words_but_the_first(task):
    """One piece, word after word, by hand."""
    torch.manual_seed(0)
    model = task.network(SMALL, PLAIN).eval()
    ids = torch.from_numpy(task.corpus.test)
    with torch.no_grad():
        logits, *_ = model.sequence(ids[None, :-1])
    by_hand = math.exp(nn.functional.cross_entropy(logits[0], ids[1:]).item())
    assert task.score(as_run(model), "test")["perplexity"] == pytest.approx(by_hand, rel=1e-5)


def test_a_long_text_is_scored_in_pieces_that_leave_nothing_out(task):
    seen = []

    def run(inputs):
        seen.append(inputs[0])
        return (np.zeros((len(inputs[0]), 11), np.float32),)

    task.score(run, "val")
    words = np.stack(seen, axis=1).reshape(-1)  # 3 pieces of 106 words, of which the last has 104
    assert (words[:316] == task.corpus.val[:-1]).all()
    assert len(words) == 318


def test_perplexity_without_end_is_a_training_error(task):
    def run(inputs):
        logits = np.full((len(inputs[0]), 11), 0.0, np.float32)
        logits[:, 0] = 1e6  # of a word that never comes
        return (logits,)

    with pytest.raises(TrainingError, match="finite perplexity"):
        task.score(run, "val")


# What cannot be


def test_text_that_is_shorter_than_the_window_is_refused(task):
    assert replace(task, window=62).examples["test"] == 1
    with pytest.raises(DataError, match=r"more words than its window, but of 'test' there are 63 and \(window=63"):
        replace(task, window=63).examples  # noqa: B018
    with pytest.raises(DataError, match=r"of 'train' there are 1 and \(window=5, train_share=0\.001"):
        replace(task, train_share=0.001).examples  # noqa: B018


@pytest.mark.parametrize(
    "options",
    [{"window": 0}, {"window": 10_001}, {"vocabulary": 2}, {"vocabulary": 10**7}, {"train_share": 0.0},
     {"train_share": 1.5}],
)  # fmt: skip
def test_options_out_of_range_are_refused(options):
    with pytest.raises(DataError, match="must hold, but got"):
        Language("texts", **options)


def test_network_that_learns_no_sequences_is_refused(task, monkeypatch):
    monkeypatch.setattr("paretonas.task.language.build", lambda *_: nn.Linear(1, 1))
    with pytest.raises(SpecError, match="has a method `sequence`, but Linear"):
        task.network(ForeignSpec("timm:resnet18"), PLAIN)
