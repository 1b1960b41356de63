"""What the command line says becomes sections of a configuration."""

import pytest

from paretonas.cli.settings import set_supernet
from paretonas.errors import UsageError


@pytest.mark.parametrize(
    ("settings", "asked", "strategy", "fallback"),
    [
        ({}, None, "nsga2", None),
        ({}, "random", None, "random"),
        ({"strategy": "ppo"}, None, "ppo", "ppo"),
        (
            {"strategy": {"name": "ppo", "lr": 0.1, "goals": ["macs"]}},
            None,
            {"name": "ppo", "lr": 0.1, "goals": ["macs"]},
            {"name": "ppo", "lr": 0.1},
        ),
        ({"supernet": {"fallback": "local"}, "strategy": "ppo"}, None, "ppo", "local"),
    ],
)
def test_a_strategy_that_was_asked_for_serves_scores_and_trainings(settings, asked, strategy, fallback):
    settings = dict(settings)
    set_supernet(settings, {"sampling": "sandwich", "checked": None}, asked)
    assert settings.get("strategy") == strategy
    assert settings["supernet"].get("fallback") == fallback


def test_options_of_no_supernet_are_errors():
    with pytest.raises(UsageError, match="--checked is of a supernet"):
        set_supernet({}, {"sampling": None, "checked": 5}, None)
