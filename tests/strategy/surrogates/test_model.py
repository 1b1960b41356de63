import itertools

import numpy as np
import pytest

from paretonas.strategy.surrogates.gaussian import encode, normal_scores
from paretonas.strategy.surrogates.model import Model

EVERY = list(itertools.product(range(3), repeat=4))


def encoding(choices):
    return encode(choices, [range(3)] * 4)


def value(choices):
    return choices[0] + 0.5 * choices[1] - choices[2] * choices[3]


def told(choices, values, scale=np.asarray, earlier=()):
    model = Model(encoding, scale, 500, earlier)
    for one, number in zip(choices, values, strict=True):
        model.add(one, number)
    return model


def some(n, seed):
    return [EVERY[i] for i in np.random.default_rng(seed).permutation(len(EVERY))[:n]]


def test_model_keeps_the_best_and_the_latest_values():
    model = Model(lambda choices: encode(choices, [range(2)] * 2), np.asarray, 4)
    for number in (0.0, 9.0, 1.0, 8.0, 2.0, 3.0):
        model.add((0, 0), number)
    assert model._used(model.values, 4).tolist() == [1, 3, 4, 5]


# Earlier searches


def test_before_any_value_the_earlier_search_predicts():
    seen = some(40, 0)
    earlier = told(seen, map(value, seen))
    model = Model(encoding, np.asarray, 500, [earlier])
    assert (model.is_informed, model.has_values) == (True, False)
    (mean, deviation), (plain, spread) = model.predict(EVERY, []), earlier.predict(EVERY, [])
    of_values = np.std([value(one) for one in seen])
    assert np.ptp(mean) * of_values == pytest.approx(np.ptp(plain))
    assert deviation * of_values == pytest.approx(spread)


def test_what_is_pending_is_less_uncertain_before_any_value_too():
    seen = some(10, 0)
    model = Model(encoding, np.asarray, 500, [told(seen, map(value, seen))])
    asked = [one for one in EVERY if one not in seen][:3]
    assert (model.predict(asked, asked)[1] < model.predict(asked, [])[1]).all()


def test_what_was_foretold_right_needs_few_values():
    seen = some(60, 0)
    new, rest = some(5, 1), some(81, 2)
    truth = [value(one) for one in rest]
    wise = told(new, map(value, new), earlier=[told(seen, map(value, seen))])
    blind = told(new, map(value, new))
    errors = [np.abs(model.predict(rest, [])[0] - truth).mean() for model in (wise, blind)]
    assert errors[0] < 0.5 * errors[1]


@pytest.mark.parametrize("scale", [np.asarray, normal_scores])
def test_units_of_the_earlier_search_make_no_difference(scale):
    seen, new = some(30, 0), some(6, 1)
    of_one, of_other = (told(seen, [a + b * value(one) for one in seen], scale) for a, b in ((0, 1), (-40, 7)))
    predictions = [told(new, map(value, new), scale, [one]).predict(EVERY, [])[0] for one in (of_one, of_other)]
    assert predictions[0] == pytest.approx(predictions[1])


def test_what_was_foretold_wrong_is_left_out_in_the_end():
    seen, new = some(40, 0), some(30, 1)
    wrong = told(seen, [-value(one) for one in seen])
    misled, plain = told(new, map(value, new), earlier=[wrong]), told(new, map(value, new))
    assert misled.predict(EVERY, [])[0] == pytest.approx(plain.predict(EVERY, [])[0])


def test_of_several_the_one_that_is_right_is_believed():
    seen, new = some(60, 0), some(12, 1)
    right, wrong = (told(seen, [sign * value(one) for one in seen]) for sign in (1, -1))
    truth = [value(one) for one in EVERY]
    errors = [
        np.abs(told(new, map(value, new), earlier=earlier).predict(EVERY, [])[0] - truth).mean()
        for earlier in ([right], [wrong, right], [])
    ]
    assert errors[1] == pytest.approx(errors[0])
    assert errors[1] < errors[2]


def test_an_earlier_search_of_one_value_says_nothing():
    model = Model(encoding, np.asarray, 500, [told([EVERY[3]], [1.0])])
    assert not model.is_informed
