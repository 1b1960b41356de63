"""Networks that learn on shared weights."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from random import Random

import pytest
import torch
from image_tasks import visible

from paretonas.errors import UsageError
from paretonas.network.shapes import without_numbers
from paretonas.network.sharing import Path
from paretonas.space import Decision, SearchSpace, Spec, spec_hash
from paretonas.space.mnasnet import BlockSpec, MnasNetSpec
from paretonas.space.space import Choice
from paretonas.task.distilled import divergence
from paretonas.task.recipe import Recipe
from paretonas.task.task import At
from paretonas.training import samplings
from paretonas.training.fit import Session, as_run, fit
from paretonas.training.state import StateFile
from paretonas.training.supernet import Balanced, Sandwich, Single, Supernet

RECIPE = Recipe(epochs=4, batch_size=16, lr=0.3, crop=0.0, bn_momentum=0.5, layout="contiguous", precision="float32")


def block(values: Mapping[str, Choice]) -> Spec:
    made = BlockSpec(
        "mbconv", int(values["kernel"]), 8, int(values["layers"]), 2, int(values["expansion"]), 0.0, "identity"
    )
    return MnasNetSpec((made,), stem_filters=8, head_filters=16)


@dataclass(frozen=True)
class Blocks:
    """A small space."""

    def build(self) -> SearchSpace:
        offered: dict[str, tuple[Choice, ...]] = {"kernel": (3, 5), "layers": (1, 2), "expansion": (2, 4)}
        return SearchSpace("blocks", tuple(Decision(*one) for one in offered.items()), block)


@pytest.fixture(scope="module")
def supernet() -> Supernet:
    return Supernet(visible(), Blocks())


def trained(supernet: Supernet, session: Session | None = None) -> tuple[Path, tuple[float, ...]]:
    torch.manual_seed(0)
    fitted = fit(supernet.network(supernet.family.largest, RECIPE), supernet, RECIPE, 1, session)
    return fitted.model, fitted.losses


def test_all_networks_learn(supernet: Supernet) -> None:
    shared, _ = trained(supernet)
    for spec in (supernet.family.smallest, supernet.family.largest, supernet.family.draw(Random(0))):
        network = supernet.subnet(shared, spec, RECIPE, 0, 64)
        assert supernet.score(as_run(network), "val")["accuracy"] > 0.8


def test_a_subnet_is_the_path_with_statistics_of_its_own(supernet: Supernet) -> None:
    shared, _ = trained(supernet)
    spec = supernet.family.smallest
    network = supernet.subnet(shared, spec, RECIPE, 0, 64)
    with without_numbers():
        path = Path(shared, supernet.task.network(spec, RECIPE))
    x = torch.randn(8, 1, 8, 8)
    torch.testing.assert_close(network.train()(x), path(x), rtol=1e-5, atol=1e-5)


def test_the_loss_is_the_first_network_s_and_what_others_are_from_it(supernet: Supernet) -> None:
    shared = supernet.network(supernet.family.largest, RECIPE)
    at = At(3, 10, 5, RECIPE)
    (batch,) = supernet.batches("train", RECIPE, 5, range(3, 4))
    first, *others = supernet.drawn(at)
    assert first == supernet.family.largest
    assert others[-1] == supernet.family.smallest

    def outputs(spec: Spec) -> torch.Tensor:
        with without_numbers():
            path = Path(shared, supernet.task.network(spec, RECIPE))
        said: list[torch.Tensor] = []
        path.register_forward_hook(lambda module, given, output: said.append(output))
        losses.append(supernet.task.loss(path, batch, at))
        return said[0]

    losses: list[torch.Tensor] = []
    target = outputs(first)
    wanted = losses[0] + sum(divergence(outputs(spec), target) for spec in others)
    torch.testing.assert_close(supernet.loss(shared, batch, at), wanted)


def test_an_interrupted_training_goes_on_to_the_same_losses(supernet: Supernet, tmp_path) -> None:
    _, whole = trained(supernet)
    state = StateFile(tmp_path / "state", {"of": "this"})
    trained(supernet, Session(state=state, until=0.5))
    _, losses = trained(supernet, Session(state=StateFile(tmp_path / "state", {"of": "this"})))
    assert losses == pytest.approx(whole, abs=1e-6)


def test_paths_follow_from_seed_and_step(supernet: Supernet) -> None:
    drawn = [supernet.drawn(At(step, 10, seed, RECIPE)) for seed in (0, 1) for step in (4, 5)]
    assert drawn == [supernet.drawn(At(step, 10, seed, RECIPE)) for seed in (0, 1) for step in (4, 5)]
    assert len(set(drawn)) > 1


@pytest.mark.parametrize(("sampling", "count"), [(Single(), 1), (Balanced(bins=2), 1), (Sandwich(drawn=1), 3)])
def test_so_many_networks_learn_in_a_step(supernet: Supernet, sampling, count) -> None:
    some = replace(supernet, sampling=sampling)
    assert max(len(some.drawn(At(step, 10, 0, RECIPE))) for step in range(10)) == count


def test_balanced_paths_lie_in_all_bins(supernet: Supernet) -> None:
    drawn = {Balanced(bins=4).draw(supernet.family, 0.0, Random(i), supernet.interface)[0] for i in range(40)}
    everyone = {supernet.family.draw(Random(i)) for i in range(200)}
    assert {spec_hash(spec) for spec in drawn} == {spec_hash(spec) for spec in everyone}


def test_the_largest_learns_alone_first(supernet: Supernet) -> None:
    some = replace(supernet, sampling=Sandwich(alone=0.5))
    assert [len(some.drawn(At(step, 10, 0, RECIPE))) > 1 for step in (0, 4, 5, 9)] == [False, False, True, True]


def test_the_digest_tells_options_apart(supernet: Supernet) -> None:
    others = [replace(supernet, sampling=Sandwich(drawn=3)), replace(supernet, sampling=Single())]
    assert len({one.digest for one in (supernet, *others)} | {supernet.task.digest}) == 4


@pytest.mark.parametrize("text", ["sandwich:drawn=65", "sandwich:alone=1", "balanced:bins=0", "balanced:tries=0"])
def test_options_out_of_range_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="must hold"):
        samplings.create(text)
