"""What is said of what was found: which network to take, and the columns that are asked for."""

import json

import pytest

from paretonas.cli.settings import set_data
from paretonas.store import Store

WITHIN = "Recommended: Trial {} has the highest accuracy within the target of 2 ms: "


def flat(text):
    return " ".join(text.split())


@pytest.fixture
def aimed(toy_search, command):
    """The home of a search of nine networks, all tried, that aims at 2 ms: the best within has 65 %."""
    assert command(*toy_search, "--target-ms", "2", "--strategy", "enumeration", "--trials", "9").code == 0
    return toy_search[:2]


def test_a_search_ends_with_what_to_take(toy_search, command):
    said = command(*toy_search, "--target-ms", "2", "--strategy", "enumeration", "--trials", "9")
    assert "65.00 % at 2 ms, by the search's numbers." in flat(said.out)
    assert "paretonas train" not in said.out  # a table's networks cannot be


def test_front_and_show_say_it_too(aimed, command):
    found = json.loads(command(*aimed, "show", "t", "--json").out)["recommended"]
    (one,) = found
    assert (one["device"], one["value"], one["is_within"], one["is_final"]) == ("", 0.65, True, False)
    assert one["latencies"] == {"latency_ms": 2.0}
    for name in ("front", "show"):
        assert WITHIN.format(one["trial"]) in flat(command(*aimed, name, "t").out)
    assert json.loads(command(*aimed, "front", "t", "--json").out)["recommended"] == found
    assert one["reason"].startswith(f"Trial {one['trial']} has the highest accuracy")
    assert one["command"] == ""


def test_limits_that_stopped_everything_are_said(toy_search, command):
    said = command(*toy_search, "--strategy", "enumeration", "--trials", "9", "--limit", "latency_ms<=0.5")
    assert said.code == 0
    assert "9 are over the limit latency_ms<=0.5; the nearest, trial 0, has 1." in flat(said.out)


def test_what_can_be_trained_comes_with_the_command(made, command):
    said = flat(command("--home", made, "front", "s").out)
    assert "Recommended: Trial 0 has the highest accuracy: 90.00 % at 2 ms, by the search's numbers." in said
    assert "Train it to the end: paretonas train s --final --trial 0" in said


def test_once_finalists_are_trained_they_are_judged_by_their_own_numbers(made, command):
    store = Store(made / "store.db")
    (trial, _) = store.trials("s")
    trial.metrics.update(test_accuracy=0.8, exported_accuracy=0.81, final_latency_ms=2.5, final_latency_flags=1)
    store.update_trial("s", trial)
    store.close()
    said = flat(command("--home", made, "show", "s").out)
    assert "has the highest accuracy: 81.00 % at 2.5 ms, after the final training, exported and timed again." in said
    assert "Its timing is flagged: time it again on a quiet machine." in said
    assert "Train it" not in said


def test_columns_are_those_that_are_asked_for(made, command):
    said = command("--home", made, "front", "s", "--metrics", "params+latency_ms")
    (head,) = (line for line in said.out.splitlines() if line.startswith("trial"))
    assert head.split() == ["trial", "state", "reward", "params", "latency", "spec"]
    usual = command("--home", made, "show", "s").out
    assert "accuracy" in next(line for line in usual.splitlines() if line.startswith("trial"))
    said = command("--home", made, "show", "s", "--metrics", "params+nonsense")
    assert said.code == 2
    assert "No metric is called 'nonsense'" in said.err


def test_a_quality_is_an_option_of_the_task_or_of_the_table():
    images, table = {}, {}
    set_data(images, "digits", None, {}, {"quality": "macro_f1", "metric": None})
    assert images["task"] == {"data": "digits", "quality": "macro_f1"}
    set_data(table, "table:toy.parquet", None, {}, {"quality": "perplexity", "metric": "loss"})
    assert table["table"] == {"file": "toy.parquet", "quality": "perplexity", "metric": "loss"}


def test_options_of_a_teacher_need_one(made, command):
    said = command("--home", made, "train", "s", "--final", "--temperature", "4")
    assert said.code == 2
    assert "--teacher FILE, but got its temperature alone" in flat(said.err)
