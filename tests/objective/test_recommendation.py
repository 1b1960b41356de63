"""Which network to take, on trials made by hand."""

import json

import pytest

from paretonas.objective import recommend
from paretonas.space import Architecture
from paretonas.trial import State, Trial

PHONE, PI = "latency_ms.phone", "latency_ms.pi"
AT_2 = {"latency_ms": 2.0}
ON_BOTH = {PHONE: 2.0, PI: 20.0}


def trial(number, state=State.COMPLETE, spec=None, **metrics):
    named = {name.replace("__", "."): value for name, value in metrics.items()}
    return Trial(number, Architecture("toy", (number,)), spec or f"{number}", state, named, reward=0.5)


def timed(number, accuracy, latency_ms, **more):
    return trial(number, accuracy=accuracy, latency_ms=latency_ms, **more)


def finished(number, accuracy, latency_ms, score, final_ms, **more):
    final = {"test_accuracy": score, "exported_accuracy": score, "final_latency_ms": final_ms}
    return timed(number, accuracy, latency_ms, **final, **more)


def only(trials, targets=AT_2, quality="accuracy", **how):
    (found,) = recommend(trials, quality, targets, **how)
    return found


# By the numbers of the search


def test_the_most_accurate_within_the_target_is_recommended():
    found = only([timed(0, 0.5, 1.0), timed(1, 0.6, 2.0), timed(2, 0.7, 2.1)])
    assert (found.trial, found.device, found.is_within, found.is_final) == (1, "", True, False)
    assert found.reason() == (
        "Trial 1 has the highest accuracy within the target of 2 ms: 60.00 % at 2 ms, by the search's numbers."
    )
    assert found.notes == ()


def test_where_none_is_within_the_nearest_is_recommended_and_said_to_be():
    found = only([timed(0, 0.9, 4.0), timed(1, 0.6, 2.1), timed(2, 0.7, 3.0)])
    assert (found.trial, found.is_within) == (1, False)
    assert found.reason() == (
        "No network is within the target of 2 ms. The nearest is trial 1: 60.00 % at 2.1 ms (5.0 % above), by the "
        "search's numbers."
    )


def test_without_a_target_the_best_is_recommended():
    found = only([timed(0, 0.5, 1.0), timed(1, 0.6, 9.0)], {"latency_ms": None})
    assert (found.trial, found.is_within, found.targets) == (1, True, {})
    assert found.reason() == "Trial 1 has the highest accuracy: 60.00 % at 9 ms, by the search's numbers."


def test_without_latencies_the_best_is_recommended():
    found = only([trial(0, accuracy=0.5), trial(1, accuracy=0.6)], {})
    assert (found.trial, found.latencies) == (1, {})
    assert found.reason() == "Trial 1 has the highest accuracy: 60.00 %, by the search's numbers."


def test_a_quality_that_falls_is_best_where_it_is_lowest():
    trials = [
        trial(i, perplexity=p, latency_ms=ms) for i, (p, ms) in enumerate([(90.0, 1.0), (70.0, 1.5), (60.0, 3.0)])
    ]
    found = only(trials, quality="perplexity")
    assert found.trial == 1
    assert "has the lowest perplexity within the target of 2 ms: perplexity 70.00 at 1.5 ms" in found.reason()


def test_of_equally_good_ones_the_faster_then_the_unflagged_then_the_earlier_is_taken():
    assert only([timed(0, 0.6, 1.9), timed(1, 0.6, 1.5)]).trial == 1
    assert only([timed(0, 0.6, 1.5, latency_flags=1), timed(1, 0.6, 1.5)]).trial == 1
    assert only([timed(3, 0.6, 1.5), timed(1, 0.6, 1.5)]).trial == 1
    assert only([timed(0, 0.5, 3.0), timed(1, 0.6, 3.0)]).trial == 1  # equally near


def test_trials_that_are_not_complete_or_lack_a_number_are_not_recommended():
    broken = [
        timed(0, 0.9, 1.0, state=State.PRUNED),
        timed(1, 0.9, 1.0, state=State.FAILED),
        trial(2, accuracy=0.9),
        trial(3, latency_ms=1.0),
        timed(4, float("nan"), 1.0),
    ]
    assert recommend(broken, "accuracy", AT_2) == ()
    assert only([*broken, timed(5, 0.1, 1.0)]).trial == 5


# Noise


def test_a_target_that_is_missed_by_less_than_the_spread_is_said_to_be():
    assert only([timed(0, 0.6, 2.04, latency_spread=0.03)]).notes == (
        "It misses the target by less than the spread of its timing, 3.0 %.",
    )
    assert only([timed(0, 0.6, 2.04, latency_spread=0.01)]).notes == ()
    assert only([timed(0, 0.6, 2.04)]).notes == ()
    assert "at 2 ms (0.02 % above)" in only([timed(0, 0.6, 2.0004)]).reason()
    assert "at 23.2 ms (11.6 times that)" in only([timed(0, 0.6, 23.2)]).reason()


def test_a_target_that_is_kept_by_less_than_the_spread_is_said_to_be():
    assert only([timed(0, 0.6, 1.98, latency_spread=0.03)]).notes == (
        "It keeps the target by less than the spread of its timing, 3.0 %.",
    )


def test_a_better_one_that_misses_by_less_than_the_spread_is_named():
    trials = [timed(0, 0.6, 1.0), timed(1, 0.7, 2.02, latency_spread=0.05), timed(2, 0.8, 2.5, latency_spread=0.05)]
    assert only(trials).notes == (
        "Trial 1 (70.00 %) is better and misses the target by 1.0 %, less than the spread of its timing, 5.0 %.",
    )


def test_a_flagged_timing_is_said_to_be():
    found = only([timed(0, 0.6, 1.0, latency_flags=2)])
    assert found.notes == ("Its timing is flagged: time it again on a quiet machine.",)


# Estimates


def test_an_estimated_latency_is_said_to_be_one_until_a_finalist_is_measured():
    one = trial(0, accuracy=0.6, estimated_ms=2.04, estimated_spread=0.1)
    found = only([one], {"estimated_ms": 2.0})
    assert found.reason().endswith(
        "60.00 % at 2.04 ms (2.0 % above), by the search's numbers, with the latency estimated."
    )
    assert found.notes == ("It misses the target by less than the spread of its estimate, 10.0 %.",)
    one.metrics.update(test_accuracy=0.9, exported_accuracy=0.9, latency_ms=1.9, latency_spread=0.2, latency_flags=1)
    found = only([one], {"estimated_ms": 2.0})
    assert found.reason().endswith("90.00 % at 1.9 ms, after the final training, exported and timed again.")
    assert found.notes == (
        "It keeps the target by less than the spread of its timing, 20.0 %.",
        "Its timing is flagged: time it again on a quiet machine.",
    )


# Finalists


def test_finalists_are_judged_by_their_own_numbers():
    trials = [finished(0, 0.6, 1.5, 0.80, 1.6), finished(1, 0.5, 1.0, 0.85, 1.1), timed(2, 0.55, 1.2)]
    found = only(trials)
    assert (found.trial, found.is_final, found.value, found.latencies) == (1, True, 0.85, {"latency_ms": 1.1})
    assert found.reason() == (
        "Trial 1 has the highest accuracy within the target of 2 ms: 85.00 % at 1.1 ms, after the final training, "
        "exported and timed again."
    )
    assert only(trials, ignore_finalists=True).trial == 0


def test_the_exported_score_decides_where_it_differs_from_the_models():
    trials = [finished(0, 0.6, 1.5, 0.80, 1.6), finished(1, 0.6, 1.5, 0.80, 1.6)]
    trials[1].metrics["exported_accuracy"] = 0.801
    assert only(trials).trial == 1


def test_a_finalist_above_the_target_gives_way_to_a_network_of_the_search_within_it():
    trials = [finished(0, 0.6, 1.9, 0.90, 2.3), timed(1, 0.5, 1.0)]
    found = only(trials)
    assert (found.trial, found.is_final, found.is_within) == (1, False, True)
    assert found.notes == ("No finalist is within the target; this one is not trained to the end yet.",)
    assert "No network" not in found.reason()


def test_where_nothing_is_within_the_nearest_finalist_is_recommended():
    trials = [finished(0, 0.6, 3.0, 0.90, 2.3), timed(1, 0.5, 2.2)]
    found = only(trials)
    assert (found.trial, found.is_final) == (0, True)
    assert found.reason().startswith("No finalist is within the target of 2 ms. The nearest is trial 0: 90.00 % at 2.3")


def test_a_better_one_of_the_search_that_is_no_finalist_is_named():
    trials = [finished(0, 0.5, 1.0, 0.9, 1.0), timed(1, 0.6, 1.5), timed(2, 0.7, 2.5)]
    assert only(trials).notes == ("Trial 1 (60.00 %) was better in the search and is no finalist yet.",)
    trials[1] = timed(1, 0.6, 1.5, spec="0")  # the finalist's own network once more
    assert only(trials).notes == ()


def test_noise_of_a_finalist_is_that_of_its_own_timing():
    made = finished(0, 0.6, 1.0, 0.9, 2.02, latency_flags=1, latency_spread=0.0, final_latency_spread=0.05)
    found = only([made])
    assert found.notes == ("It misses the target by less than the spread of its timing, 5.0 %.",)


# Several devices


def on_both(number, accuracy, phone, pi, **more):
    return trial(number, accuracy=accuracy, latency_ms__phone=phone, latency_ms__pi=pi, **more)


def test_of_several_devices_each_has_its_own_and_all_have_one():
    trials = [on_both(0, 0.5, 1.0, 10.0), on_both(1, 0.7, 1.9, 40.0), on_both(2, 0.6, 2.6, 19.0)]
    everywhere, phone, pi = recommend(trials, "accuracy", ON_BOTH)
    assert [(one.device, one.trial) for one in (everywhere, phone, pi)] == [(None, 0), ("phone", 1), ("pi", 2)]
    assert everywhere.reason() == (
        "Trial 0 has the highest accuracy within the targets of all devices: 50.00 % at 1 ms on phone and 10 ms on pi, "
        "by the search's numbers."
    )
    assert phone.latencies == {PHONE: 1.9}
    assert "within the target of 20 ms on pi: 60.00 % at 19 ms," in pi.reason()


def test_the_nearest_to_several_targets_is_by_the_one_that_is_missed_most():
    trials = [on_both(0, 0.9, 1.0, 30.0), on_both(1, 0.5, 2.2, 24.0)]
    everywhere, phone, pi = recommend(trials, "accuracy", ON_BOTH)
    assert (everywhere.trial, everywhere.is_within) == (1, False)
    assert "50.00 % at 2.2 ms on phone (10.0 % above) and 24 ms on pi (20.0 % above)" in everywhere.reason()
    assert (phone.trial, phone.is_within) == (0, True)
    assert (pi.trial, pi.is_within) == (1, False)


def test_a_device_without_a_target_rules_nothing_out():
    everywhere, phone, pi = recommend(
        [on_both(0, 0.5, 1.0, 90.0), on_both(1, 0.6, 3.0, 1.0)], "accuracy", {PHONE: 2.0, PI: None}
    )
    assert (everywhere.trial, phone.trial, pi.trial) == (0, 0, 1)


def test_finalists_of_several_devices_are_judged_where_each_was_timed():
    final = {"final_latency_ms__phone": 1.5, "final_latency_ms__pi": 25.0, "exported_accuracy": 0.9}
    trials = [on_both(0, 0.6, 1.5, 19.0, **final), on_both(1, 0.5, 1.0, 10.0)]
    everywhere, phone, pi = recommend(trials, "accuracy", ON_BOTH)
    assert (phone.trial, phone.is_final) == (0, True)
    assert (pi.trial, pi.is_final) == (1, False)
    assert (everywhere.trial, everywhere.is_final) == (1, False)


@pytest.mark.parametrize("targets", [AT_2, {}, {"latency_ms": None}])
def test_a_recommendation_is_plain_data(targets):
    found = only([timed(0, 0.6, 1.98, latency_spread=0.03)], targets).to_json()
    assert json.loads(json.dumps(found)) == found
    assert found["reason"].startswith("Trial 0 has the highest accuracy")
