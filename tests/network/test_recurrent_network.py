import pytest
import torch
from torch import nn

from paretonas.errors import SpecError
from paretonas.network import build
from paretonas.network.cost import spec_cost
from paretonas.network.recurrent import RecurrentLayer
from paretonas.space import Interface
from paretonas.space.recurrent import RecurrentSpec
from paretonas.zoo import zoo_spec
from paretonas.zoo.nascell import CELL

WORDS = Interface.of_words(11)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return build(RecurrentSpec(CELL, 6, 2), WORDS, dropout=0.5)


def test_nascell_gives_the_numbers_of_the_released_code():
    """One unit, K = .1 to .8, R = .8 to .1, x = 1, h = .5, c = .25 in tensorflow/addons, rnn/nas_cell.py."""
    layer = RecurrentLayer(RecurrentSpec(CELL, hidden=1, layers=1))
    with torch.no_grad():
        layer.kernel.copy_(torch.arange(1, 9)[None] / 10)
        layer.recurrent.copy_(torch.arange(8, 0, -1)[None] / 10)
        h, c = layer(*(torch.tensor([[number]]) for number in (1.0, 0.5, 0.25)))
    assert float(c) == pytest.approx(0.3304173052, abs=1e-7)
    assert float(h) == pytest.approx(0.2673081371, abs=1e-7)


def test_lstm_is_that_of_pytorch():
    torch.manual_seed(0)
    layer, theirs = RecurrentLayer(RecurrentSpec(None, hidden=5, layers=1)), nn.LSTM(5, 5)
    order = (1, 0, 3, 2)  # of their gates: input, forget, candidate, output
    with torch.no_grad():
        for ours, weight in ((layer.kernel, theirs.weight_ih_l0), (layer.recurrent, theirs.weight_hh_l0)):
            ours.copy_(torch.cat([weight.chunk(4)[i] for i in order]).t())
        layer.bias.copy_(torch.cat([(theirs.bias_ih_l0 + theirs.bias_hh_l0).chunk(4)[i] for i in order]))
        x, h, c = torch.randn(3, 2, 5), torch.randn(2, 5), torch.randn(2, 5)
        expected, (last, state) = theirs(x, (h[None], c[None]))
        found = layer.sequence(x, h, c, 1.0)
    for ours, other in zip(found, (expected, last[0], state[0]), strict=True):
        assert torch.allclose(ours, other, atol=1e-6)


def test_params_are_those_of_the_released_cell():
    """8 u (in + out) a layer, an LSTM's 4 u (in + out + 1); the tied decoder has a bias of its own."""
    words, u = 10_000, 650
    shared = words * u + words
    assert _params("nascell") == shared + 2 * 8 * u * (u + u)
    assert _params("nascell:tied=false") == shared + words * u + 2 * 8 * u * (u + u)
    assert _params("lstm") == shared + 2 * 4 * u * (u + u + 1)


def test_macs_are_the_products_of_one_step():
    spec = RecurrentSpec(CELL, 7, 3)
    assert spec_cost(spec, spec.with_state(WORDS)).macs == 3 * 8 * 7 * (7 + 7) + 7 * 11


def _params(name):
    spec = zoo_spec(name)
    return spec_cost(spec, spec.with_state(Interface.of_words(10_000))).params


def test_a_sequence_is_step_after_step(model):
    model.eval()
    tokens, h, c = torch.randint(11, (3, 5)), torch.randn(3, 2, 6), torch.randn(3, 2, 6)
    with torch.no_grad():
        logits, *last = model.sequence(tokens, h, c)
        for step in range(5):
            one, h, c = model(tokens[:, step], h, c)
            assert torch.allclose(one, logits[:, step], atol=1e-6)
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(last, (h, c), strict=True))


def test_what_is_left_out_begins_with_zeros(model):
    model.eval()
    tokens, zeros = torch.randint(11, (3,)), torch.zeros(3, 2, 6)
    for found, expected in zip(model(tokens), model(tokens, zeros, zeros), strict=True):
        assert torch.equal(found, expected)


def test_dropout_has_one_mask_for_all_steps(model):
    layer = model.layers[0]
    with torch.no_grad():
        layer.recurrent.zero_()
    seen = []
    layer.sequence = lambda x, *rest: (seen.append((x, rest[-1])), RecurrentLayer.sequence(layer, x, *rest))[1]
    model.train().sequence(torch.zeros(2, 4, dtype=torch.int64))
    ((x, mask),) = seen
    assert torch.equal(x, x[:1].expand_as(x))
    assert 0 < int((x[0] == 0).sum()) < x[0].numel()
    assert set(mask.unique().tolist()) == {0.0, 2.0}


def test_dropout_is_for_training_alone(model):
    tokens = torch.randint(11, (2, 4))
    first, again = (model.eval().sequence(tokens)[0] for _ in range(2))
    assert torch.equal(first, again)
    first, again = (model.train().sequence(tokens)[0] for _ in range(2))
    assert not torch.equal(first, again)


def test_tied_weights_are_one_parameter(model):
    assert model.decoder.weight is model.embedding.weight
    untied = build(RecurrentSpec(None, 6, 1, is_tied=False), WORDS)
    assert untied.decoder.weight is not untied.embedding.weight


def test_an_untrained_lstm_remembers():
    model = build(RecurrentSpec(None, 6, 1), WORDS)
    assert model.layers[0].bias.tolist() == [1.0] * 6 + [0.0] * 18


def test_images_are_no_words():
    with pytest.raises(SpecError, match=r"fed the number of one word, but this task feeds .*images.*another space"):
        build(RecurrentSpec(CELL, 6, 1), Interface.of_images(3, 32, 10))
