import numpy as np
import torch

from paretonas.network import build
from paretonas.search.rescore import Beside
from paretonas.space import Interface
from paretonas.space.recurrent import RecurrentSpec
from paretonas.training.fit import as_run


def test_state_that_is_left_out_begins_with_zeros_in_file_and_model():
    torch.manual_seed(0)
    spec = RecurrentSpec(None, hidden=4, layers=2)
    interface = spec.with_state(Interface.of_words(9))
    model, shapes = build(spec, interface), []

    def file(inputs):
        shapes.append([(array.shape, array.dtype) for array in inputs])
        return as_run(model)(inputs)

    beside = Beside(file, model, interface)
    logits, *states = beside((np.array([1, 2, 3]),))
    assert shapes == [[((1,), np.dtype(np.int64)), *[((1, 2, 4), np.dtype(np.float32))] * 2]] * 3
    assert [state.shape for state in (logits, *states)] == [(3, 9), (3, 2, 4), (3, 2, 4)]
    again, *_ = beside((np.array([1, 2, 3]), *states))
    assert not np.array_equal(again, logits)
    assert beside.difference < 1e-6
