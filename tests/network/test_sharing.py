"""One set of weights for all networks of a space."""

import pytest
import torch
from torch import nn

from paretonas.errors import SpecError
from paretonas.network import build
from paretonas.network.sharing import Path, SharedWeights, cut_out, fresh_weights, roles
from paretonas.space import Interface, Spec
from paretonas.space.mnasnet import BlockSpec, MnasNetSpec

IMAGES = Interface.of_images(3, 16, 5)


def spec(
    op: str = "mbconv", kernel: int = 3, filters: int = 8, layers: int = 1, expansion: int = 3, se: float = 0.0
) -> Spec:
    """Of one block between stem and head."""
    block = BlockSpec(op, kernel, filters, layers, 2, 1 if op == "conv" else expansion, se, "identity")
    return MnasNetSpec((block,), stem_filters=8, head_filters=16)


def shared_by(*specs: Spec, is_sliced: bool = True) -> SharedWeights:
    return fresh_weights(specs, lambda one: build(one, IMAGES), is_sliced)


def on_meta(one: Spec) -> nn.Module:
    with torch.device("meta"):
        return build(one, IMAGES)


def test_a_path_gives_what_the_network_that_is_cut_out_gives() -> None:
    torch.manual_seed(0)
    small = spec(kernel=3, filters=8, layers=2, expansion=3)
    shared = shared_by(small, spec(kernel=5, filters=16, layers=3, expansion=6))
    network, x = build(small, IMAGES).train(), torch.randn(4, 3, 16, 16)
    cut_out(shared, network)
    torch.testing.assert_close(network(x), Path(shared, on_meta(small))(x), rtol=1e-5, atol=1e-5)


def test_a_smaller_layer_is_the_first_channels_and_the_centre_of_the_kernel() -> None:
    small, large = spec(kernel=3, filters=8, expansion=3), spec(kernel=5, filters=16, expansion=6)
    shared = shared_by(small, large)
    networks = [build(one, IMAGES) for one in (small, large)]
    for network in networks:
        cut_out(shared, network)
    few, many = (network.blocks[0][0].body[3].weight for network in networks)
    assert few.shape == (24, 1, 3, 3)
    torch.testing.assert_close(few, many[:24, :, 1:-1, 1:-1])


def test_gradients_reach_the_part_alone() -> None:
    small, large = spec(filters=8, expansion=3), spec(filters=16, expansion=6)
    shared = shared_by(small, large)
    Path(shared, on_meta(small))(torch.randn(4, 3, 16, 16)).square().sum().backward()
    network = build(small, IMAGES)
    for name, (whole, window) in shared.places(network).items():
        assert whole.grad is not None, name
        outside = whole.grad.clone()
        outside[window] = 0
        assert not outside.any(), name
    assert shared.places(network)["blocks.0.0.body.0.weight"][0].grad.any()


def test_what_a_path_does_not_use_has_no_gradient() -> None:
    shared = shared_by(spec("conv"), spec("mbconv"))
    Path(shared, on_meta(spec("conv")))(torch.randn(4, 3, 16, 16)).sum().backward()
    unused = [role for role, tensor in shared.tensors().items() if tensor.grad is None]
    assert unused
    assert all("MBConv" in role for role in unused)


def test_layers_of_other_kinds_have_other_roles() -> None:
    plain, wide, gated = (roles(build(one, IMAGES)) for one in (spec(expansion=1), spec(expansion=3), spec(se=0.25)))
    block = {name: role for name, role in plain.items() if name.startswith("blocks")}
    assert not set(block.values()) & set(wide.values()), "without an expansion the first convolution is another one"
    assert set(wide.values()) < set(gated.values()), "what stands beside it leaves a layer's role as it is"


def test_unsliced_weights_belong_to_one_shape() -> None:
    small, large = spec(kernel=3), spec(kernel=5)
    shared = shared_by(small, large, is_sliced=False)
    networks = [build(one, IMAGES) for one in (small, large)]
    for network in networks:
        cut_out(shared, network)
    few, many = (network.blocks[0][0].body[3].weight for network in networks)
    assert not torch.equal(few, many[..., 1:-1, 1:-1])
    Path(shared, on_meta(small))(torch.randn(4, 3, 16, 16)).sum().backward()
    assert any(tensor.grad is None for role, tensor in shared.tensors().items() if "5x5" in role)


def test_the_last_network_begins_as_it_was_made() -> None:
    specs, made = (spec(filters=16), spec(filters=8)), []

    def make(one: Spec) -> nn.Module:
        made.append(build(one, IMAGES))
        return made[-1]

    network = build(specs[1], IMAGES)
    cut_out(fresh_weights(specs, make, True), network)
    torch.testing.assert_close(dict(network.named_parameters()), dict(made[-1].named_parameters()))


def test_normalization_is_known_as_such() -> None:
    shared = shared_by(spec())
    owners = {type(owner).__name__ for role, owner in shared.owners.items() if "BatchNorm" in role.rpartition("/")[2]}
    assert owners == {"SharedNorm"}


def test_weights_outlive_a_round_trip() -> None:
    shared = shared_by(spec())
    again = SharedWeights(shared.tensors())
    assert again.state_dict().keys() == shared.state_dict().keys()


def test_a_network_that_does_not_fit_is_refused() -> None:
    shared = shared_by(spec(filters=8))
    with pytest.raises(SpecError, match="have parts of them, but 'blocks"):
        shared.places(build(spec(filters=16), IMAGES))
    with pytest.raises(SpecError, match="none"):
        shared.places(build(spec("conv"), IMAGES))
