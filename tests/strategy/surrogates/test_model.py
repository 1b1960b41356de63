import numpy as np

from paretonas.strategy.surrogates.gaussian import encode
from paretonas.strategy.surrogates.model import Model


def test_model_keeps_the_best_and_the_latest_values():
    model = Model(lambda choices: encode(choices, [range(2)] * 2), np.asarray, 4)
    for value in (0.0, 9.0, 1.0, 8.0, 2.0, 3.0):
        model.add((0, 0), value)
    assert model._used(model.values, 4).tolist() == [1, 3, 4, 5]
