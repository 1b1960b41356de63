"""How the network of a morph is named, and what is refused before anything is paid for."""

import pytest


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--search", "s", "--trial", "9"), "has none with the number 9"),
        (("--search", "s", "--trial", "0"), "the space of 's' is not here"),
        (("--search", "s"), "is of a network, or of a trial"),
        (("mobilenet-v2", "--search", "s", "--trial", "0"), "is of a network, or of a trial"),
        ((), "is of a network, or of a trial"),
        (("mobilenet-v2", "--target-macs", "1e6", "--target-ms", "2"), "has one budget"),
        (("mobilenet-v2", "--target-macs", "-1"), "positive bound"),
        (("mobilenet-v2", "--strategy", "ppo"), "No such option"),
    ],
)
def test_what_is_no_network_or_no_budget_is_refused(command, made, words, message):
    ended = command("--home", made, "morph", "m", *words, "--data", "digits")
    assert ended.code != 0
    assert message in " ".join(ended.err.split())
