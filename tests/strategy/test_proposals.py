"""Proposals of a seed are those of earlier versions, so that their searches can be taken up again."""

import hashlib
import json
from dataclasses import replace

import pytest

from paretonas.objective import Goals, Limit
from paretonas.strategy import strategies
from paretonas.testing.strategy import TOY_SPACE, TWO_GOALS, ended, toy_latency, toy_reward
from paretonas.trial import State

LIMITED = Goals(TWO_GOALS.metrics, (Limit("latency_ms", 10.0),))


def evaluated(proposal, told, goals):
    trial, latency = ended(proposal, toy_reward(proposal.architecture), told), toy_latency(proposal.architecture)
    if all(latency <= limit.bound for limit in goals.limits):
        return trial
    return replace(trial, state=State.PRUNED, reward=0.0, metrics={"latency_ms": latency})


@pytest.mark.parametrize(
    ("text", "goals", "seed", "digits"),
    [
        ("enumeration", Goals(), 0, "f47de96520ab"),
        ("random", Goals(), 0, "850dbd5c2820"),
        ("random", Goals(), 1, "faedc58084b3"),
        ("regularized-evolution:population=20,tournament=5", Goals(), 0, "d1ee4e8d9c7a"),
        ("regularized-evolution:population=20,tournament=5", Goals(), 1, "c78df77030bb"),
        ("local-search", Goals(), 0, "bc28402be9bb"),
        ("local-search", Goals(), 1, "065433429e1e"),
        ("nsga2:population=10", TWO_GOALS, 0, "962d18f16930"),
        ("nsga2:population=10", TWO_GOALS, 1, "39d561150ec4"),
        ("nsga2:population=10", Goals(), 0, "550ec4fc0b57"),
        ("nsga2:population=10", LIMITED, 1, "c3525cbe826c"),
    ],
)
def test_proposals_of_a_seed_are_those_of_earlier_versions(text, goals, seed, digits):
    strategy, history = strategies.create(text).start(TOY_SPACE, seed, goals), []
    while len(history) < 60:
        for proposal in strategy.ask(min(4, 60 - len(history))):
            history.append(evaluated(proposal, len(history), goals))
            strategy.tell(history[-1:])
    found = json.dumps([trial.architecture.choices for trial in history])
    assert hashlib.sha256(found.encode()).hexdigest()[:12] == digits
