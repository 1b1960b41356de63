import numpy as np
import pytest
import torch

from paretonas.space import Decision
from paretonas.strategy.surrogates.sequence import Averaging, Ensemble, Recurrent, Tokens

DECISIONS = tuple(Decision(f"b{i}.{part}", tuple("abc"), part) for i in range(3) for part in ("op", "state"))
LENGTHS = (2, 4, 6)
TOKENS = Tokens(DECISIONS, LENGTHS)


def test_decisions_of_a_kind_share_tokens_and_others_do_not():
    rows = TOKENS.of([(0, 0, 0, 0), (2, 1)])
    assert rows.tolist() == [[1, 4, 1, 4, 0, 0], [3, 5, 0, 0, 0, 0]]
    assert TOKENS.count == 7
    assert TOKENS.slots.tolist() == [0, 1, 0, 1, 0, 1]


@pytest.mark.parametrize("kind", [Recurrent, Averaging])
def test_what_stands_after_the_end_changes_nothing(kind):
    model, rows = kind(TOKENS), TOKENS.of([(0, 1), (0, 1, 2, 2, 1, 0)])
    with torch.no_grad():
        assert torch.allclose(model(rows)[:1], model(rows[:1]), atol=1e-6)


def test_the_mlp_sees_the_mean_of_the_blocks():
    model = Averaging(TOKENS)
    with torch.no_grad():
        one, twice, turned = model(TOKENS.of([(0, 1, 2, 0), (0, 1, 2, 0, 1, 1), (2, 0, 0, 1)]))
    assert torch.allclose(one, turned, atol=1e-6)
    assert not torch.allclose(one, twice, atol=1e-6)


@pytest.mark.parametrize("kind", ["lstm", "mlp"])
def test_members_learn_rewards_of_any_scale_and_rank_what_they_did_not_see(kind):
    rng = np.random.default_rng(0)
    drawn = [tuple(row) for row in rng.integers(0, 3, (160, 4))]
    rewards = [1000.0 + 5 * sum(row) for row in drawn]
    ensemble = Ensemble(kind, 2, TOKENS, seed=0)
    ensemble.fit(drawn[:120], rewards[:120])
    predicted = ensemble.predict(drawn[120:])
    assert np.corrcoef(predicted, rewards[120:])[0, 1] > 0.9
    assert abs(predicted.mean() - np.mean(rewards[120:])) < 5


def test_the_seed_decides():
    drawn, rewards = [(0, 1), (1, 2), (2, 0)], [0.1, 0.2, 0.3]
    predictions = []
    for seed in (0, 0, 1):
        ensemble = Ensemble("mlp", 2, TOKENS, seed)
        ensemble.fit(drawn, rewards)
        predictions.append(ensemble.predict(drawn).tolist())
    assert predictions[0] == predictions[1] != predictions[2]


@pytest.mark.parametrize("rewards", [[0.5], [0.5, 0.5]])
def test_few_or_equal_rewards_are_survived(rewards):
    drawn = [(0, 1), (1, 2)][: len(rewards)]
    ensemble = Ensemble("lstm", 2, TOKENS, 0)
    ensemble.fit(drawn, rewards)
    assert np.isfinite(ensemble.predict(drawn)).all()
