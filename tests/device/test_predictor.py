"""Predictors of latency: networks whose operations have known costs, and what a predictor refuses."""

from random import Random

import numpy as np
import pytest

from paretonas.device.predictor import FEWEST, HeldOut, Scope, fit, spread_out
from paretonas.errors import MeasureError
from paretonas.network.operations import Operation
from paretonas.space import Interface

IMAGES = Interface.of_images(3, 32, 10)
DEVICE = {"runtime": "Engine()", "version": "1", "cpu": "beads"}
SCOPE = Scope(("mnasnet",), IMAGES, DEVICE)
KINDS = {"conv 1x1": 1.0, "conv 3x3": 0.5, "depthwise 3x3": 4.0, "add": 0.0}
"""Milliseconds of 10^8 MACs."""


def operation(kind, rng):
    side, filters = rng.choice((8, 16, 32)), rng.choice((16, 32, 64, 128))
    moved = 2 * side * side * filters
    macs = 0 if kind == "add" else moved * rng.choice((8, 16, 24))
    return Operation(kind, macs, moved, 0 if kind == "add" else 9 * filters)


def networks(count, seed=0, kinds=tuple(KINDS)):
    rng = Random(seed)
    return [[operation(rng.choice(kinds), rng) for _ in range(rng.randint(5, 20))] for _ in range(count)]


def plain(listing):
    """A sum that is linear in what predictors see."""
    return 0.1 + sum(0.01 + KINDS[one.kind] * one.macs / 1e8 + one.moved / 1e7 for one in listing)


def crooked(listing):
    """A sum over operations that is linear in nothing: large ones fall out of a cache, small ones are slow."""
    return 0.1 + sum(
        0.01 + KINDS[one.kind] * one.macs / 1e8 * (2.0 if one.moved > 100_000 else 1.0) + one.moved**0.7 / 1e5
        for one in listing
    )


def times(listings, cost, noise=0.0, seed=0):
    rng = np.random.default_rng(seed)
    return [cost(listing) * float(np.exp(noise * rng.standard_normal())) for listing in listings]


def errors(predictor, listings, milliseconds):
    estimates = np.array([predictor.estimate(listing).latency_ms for listing in listings])
    return np.abs(estimates / milliseconds - 1)


@pytest.mark.parametrize(("count", "largest"), [(20, 0.08), (100, 0.01)])
def test_linear_sum_is_found(count, largest):
    seen, unseen = networks(count), networks(100, seed=1)
    predictor = fit(SCOPE, seen, times(seen, plain))
    assert errors(predictor, unseen, times(unseen, plain)).mean() < largest


def test_correction_finds_what_is_linear_in_nothing():
    seen, unseen = networks(100), networks(100, seed=1)
    predictor = fit(SCOPE, seen, times(seen, crooked))
    macs = np.array([[1.0, sum(one.macs for one in listing)] for listing in (*seen, *unseen)])
    milliseconds = np.array(times((*seen, *unseen), crooked))
    solved, *_ = np.linalg.lstsq(macs[:100] / milliseconds[:100, None], np.ones(100), rcond=None)
    by_macs = np.abs(macs[100:] @ solved / milliseconds[100:] - 1)
    assert errors(predictor, unseen, milliseconds[100:]).mean() < 0.02 < 0.1 < by_macs.mean()


@pytest.mark.parametrize("cost", [plain, crooked])
def test_stated_error_is_that_of_networks_never_seen(cost):
    seen, unseen = networks(100), networks(200, seed=1)
    predictor = fit(SCOPE, seen, times(seen, cost, noise=0.05))
    found = errors(predictor, unseen, times(unseen, cost, noise=0.05, seed=1))
    assert predictor.held_out.error == pytest.approx(found.mean(), rel=0.3)
    assert predictor.held_out.within == pytest.approx((found <= 0.05).mean(), abs=0.15)
    assert 0.7 < predictor.held_out.rank < 1


@pytest.mark.parametrize("noise", [0.0, 0.01, 0.1])
def test_nine_in_ten_lie_in_their_interval(noise):
    seen, unseen = networks(100), networks(300, seed=1)
    predictor = fit(SCOPE, seen, times(seen, crooked, noise))
    pairs = zip(unseen, times(unseen, crooked, noise, seed=1), strict=True)
    estimates = [(predictor.estimate(listing), ms) for listing, ms in pairs]
    inside = np.mean([one.low_ms <= ms <= one.high_ms for one, ms in estimates])
    assert 0.8 <= inside <= 0.99
    assert np.mean([one.spread for one, _ in estimates]) > noise


def test_what_is_unlike_all_that_was_seen_has_the_wider_interval():
    seen = networks(50)
    predictor = fit(SCOPE, seen, times(seen, crooked, 0.01))
    odd = [Operation("conv 3x3", 10**9, 10**7, 10**6)] * 10
    spreads = [predictor.estimate(listing).spread for listing in seen]
    assert predictor.estimate(odd).spread > 2 * max(spreads)


def test_unit_does_not_matter():
    seen, (one,) = networks(40), networks(1, seed=1)
    milliseconds = times(seen, crooked, 0.02)
    small, large = fit(SCOPE, seen, milliseconds), fit(SCOPE, seen, [1000 * ms for ms in milliseconds])
    assert large.held_out.error == pytest.approx(small.held_out.error, rel=1e-6)
    for end in ("low_ms", "latency_ms", "high_ms"):
        assert getattr(large.estimate(one), end) == pytest.approx(1000 * getattr(small.estimate(one), end), rel=1e-6)


def test_same_networks_give_the_same_predictor_and_their_order_changes_it_little():
    seen, (one,) = networks(50), networks(1, seed=1)
    milliseconds = times(seen, crooked, 0.02)
    first, second = fit(SCOPE, seen, milliseconds), fit(SCOPE, seen, milliseconds)
    assert first.estimate(one) == second.estimate(one)
    turned = fit(SCOPE, seen[::-1], milliseconds[::-1])
    assert turned.estimate(one).latency_ms == pytest.approx(first.estimate(one).latency_ms, rel=1e-6)


def test_network_that_executes_nothing_takes_something():
    seen = networks(50)
    assert fit(SCOPE, seen, times(seen, plain)).estimate([]).latency_ms > 0


@pytest.mark.parametrize("count", [0, 1, FEWEST - 1])
def test_too_few_networks_are_refused(count):
    seen = networks(count)
    with pytest.raises(MeasureError, match=f"fitted on {FEWEST} networks or more, but got {count}"):
        fit(SCOPE, seen, times(seen, plain))


def test_operation_that_was_never_measured_is_refused():
    seen = networks(30, kinds=("conv 1x1", "add"))
    predictor = fit(SCOPE, seen, times(seen, plain))
    with pytest.raises(MeasureError, match="this one has conv 3x3, depthwise 3x3"):
        predictor.estimate([operation(kind, Random(0)) for kind in KINDS])


def test_networks_that_are_all_equal_are_no_problem():
    seen = networks(1) * FEWEST
    predictor = fit(SCOPE, seen, times(seen, plain, 0.01))
    assert errors(predictor, seen[:1], times(seen[:1], plain)).max() < 0.02
    assert predictor.held_out.within == 1.0
    assert -1 <= predictor.held_out.rank <= 1
    assert fit(SCOPE, seen, [2.0] * FEWEST).held_out == HeldOut(pytest.approx(0.0, abs=1e-6), 1.0, 0.0)


@pytest.mark.parametrize(
    ("kind", "interface", "device", "message"),
    [
        ("cell", IMAGES, DEVICE, "specs of kind mnasnet, not cell"),
        ("mnasnet", Interface.of_images(3, 64, 10), DEVICE, "not Interface"),
        ("mnasnet", IMAGES, {**DEVICE, "version": "2"}, "version 1, not 2"),
        ("mnasnet", IMAGES, {**DEVICE, "threads": 2}, "threads None, not 2"),
        ("mnasnet", IMAGES, {}, "runtime Engine.., not None"),
    ],
)
def test_what_it_was_not_fitted_for_is_refused(kind, interface, device, message):
    SCOPE.check("mnasnet", IMAGES, dict(reversed(DEVICE.items())))
    with pytest.raises(MeasureError, match=f"An estimate is of what was measured.*{message}"):
        SCOPE.check(kind, interface, device)


# What to measure


def test_chosen_networks_are_different_and_more_of_them_begin_with_the_same():
    listings = networks(60)
    chosen = spread_out(listings, 30)
    assert len(set(chosen)) == 30
    assert spread_out(listings, 10) == chosen[:10]
    assert sorted(spread_out(listings, 100)) == list(range(60))


def test_rare_kinds_are_among_the_first_chosen():
    common = networks(50, kinds=("conv 1x1", "add"))
    listings = [*common, [*common[0], operation("depthwise 3x3", Random(0))]]
    assert 50 in spread_out(listings, 10)


def test_chosen_networks_tell_more_than_the_first_ones():
    pool, unseen = [*networks(200, kinds=("conv 1x1", "add")), *networks(40)], networks(100, seed=1)
    milliseconds = times(unseen, crooked)

    def error(chosen):
        seen = [pool[place] for place in chosen]
        return errors(fit(SCOPE, seen, times(seen, crooked, 0.02)), unseen, milliseconds).mean()

    assert error(spread_out(pool, 40)) < error(range(0, 240, 6))


def test_few_networks_are_enough_where_other_devices_are_known():
    """A device that is twice as fast and slow at other sizes, as the first one is."""
    known, seen, unseen = networks(60), networks(10, seed=2), networks(60, seed=1)
    first = fit(SCOPE, known, times(known, crooked))

    def other(listing):
        return 0.5 * crooked(listing) + 0.2

    alone = fit(SCOPE, seen, times(seen, other, 0.02))
    begun = fit(SCOPE, seen, times(seen, other, 0.02), [first])
    truth = times(unseen, other)
    assert errors(begun, unseen, truth).mean() < 0.05
    assert errors(begun, unseen, truth).mean() < errors(alone, unseen, truth).mean() / 2
