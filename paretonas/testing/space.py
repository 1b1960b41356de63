"""What every search space must do, as a suite of tests to subclass with a fixture."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paretonas.device import parse_device
from paretonas.device.timing import Protocol
from paretonas.errors import SpecError
from paretonas.network import build
from paretonas.space import (
    Architecture,
    ForeignSpec,
    Interface,
    SearchSpace,
    Spec,
    spec_from_json,
    spec_hash,
    spec_to_json,
)
from paretonas.space.space import MUTATION_TRIES, Choice
from paretonas.testing.runtime import randomize_statistics

# A space is not changed by its tests, so that all examples may share the fixture.
examples = settings(
    max_examples=20,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
)
seeds = st.integers(0, 2**32 - 1)

DRAWN, DRAWN_IF_SLOW = 2, 20
"""Networks that are exported, by default and in the longer test."""


def differences(a: Architecture, b: Architecture) -> list[int]:
    """Positions of the decisions in which two architectures differ."""
    return [i for i, (x, y) in enumerate(zip(a.choices, b.choices, strict=True)) if x != y]


class SpaceContract:
    """Tests of a search space. The longer one has the mark `slow`.

    ```python
    class TestMySpace(SpaceContract):
        @pytest.fixture
        def space(self):
            return MySpace().build()
    ```
    """

    @pytest.fixture
    def interface(self) -> Interface:
        """What the space's networks are fed and give; a space of other networks than image classifiers has its own."""
        return Interface.of_images(channels=3, resolution=32, classes=10)

    def test_size_is_the_product_of_the_choices(self, space: SearchSpace) -> None:
        product = 1
        for decision in space.decisions:
            product *= len(decision.choices)
        assert space.size == product

    @examples
    @given(seed=seeds)
    def test_sample_is_valid_and_repeats_for_its_seed(self, space: SearchSpace, seed: int) -> None:
        architecture = space.sample(Random(seed))
        space.validate(architecture)
        assert architecture == space.sample(Random(seed))

    def test_sample_reaches_every_choice(self, space: SearchSpace) -> None:
        rng = Random(0)
        drawn = [space.sample(rng).choices for _ in range(400)]
        for i, decision in enumerate(space.decisions):
            size, parts = len(decision.choices), min(len(decision.choices), 40)  # of many, one in each part
            assert {choices[i] * parts // size for choices in drawn} == set(range(parts))

    @examples
    @given(seed=seeds)
    def test_decode_gives_the_same_readable_spec_every_time(self, space: SearchSpace, seed: int) -> None:
        architecture = space.sample(Random(seed))
        spec = space.decode(architecture)
        assert spec == space.decode(pickle.loads(pickle.dumps(architecture)))
        read = spec_from_json(json.loads(json.dumps(spec_to_json(spec))))
        assert read == spec
        assert type(read) is type(spec)
        assert spec_hash(read) == spec_hash(spec)

    @examples
    @given(seed=seeds)
    def test_values_are_the_chosen_ones_by_name(self, space: SearchSpace, seed: int) -> None:
        architecture = space.sample(Random(seed))
        values = space.values(architecture)
        assert list(values) == [decision.name for decision in space.decisions]
        for decision, choice in zip(space.decisions, architecture.choices, strict=True):
            assert values[decision.name] == decision.choices[choice]

    @examples
    @given(seed=seeds)
    def test_mutate_changes_one_decision_and_the_spec(self, space: SearchSpace, seed: int) -> None:
        rng = Random(seed)
        parent = space.sample(rng)
        child = space.mutate(parent, rng)
        space.validate(child)
        if space.size == 1:
            assert child == parent
            return
        assert len(differences(parent, child)) == 1
        spec = space.decode(parent)
        if space.decode(child) == spec:  # only where nothing else was to be had
            assert all(space.decode(other) == spec for other in space.neighbours(parent))

    def test_mutate_gives_up_where_every_spec_is_the_same(self, space: SearchSpace) -> None:
        decoded: list[Mapping[str, Choice]] = []

        def decode(values: Mapping[str, Choice]) -> Spec:
            decoded.append(values)
            return ForeignSpec("toy:same")

        same = replace(space, decoder=decode)
        parent = same.sample(Random(0))
        assert len(differences(parent, same.mutate(parent, Random(1)))) == (0 if same.size == 1 else 1)
        assert len(decoded) <= MUTATION_TRIES + 1

    @examples
    @given(seed=seeds)
    def test_mutate_repeats_for_its_seed(self, space: SearchSpace, seed: int) -> None:
        parent = space.sample(Random(seed))
        assert space.mutate(parent, Random(seed)) == space.mutate(parent, Random(seed))

    @examples
    @given(seed=seeds)
    def test_crossover_takes_every_decision_from_a_parent(self, space: SearchSpace, seed: int) -> None:
        rng = Random(seed)
        a, b = space.sample(rng), space.sample(rng)
        child = space.crossover(a, b, rng)
        space.validate(child)
        assert all(c in pair for c, *pair in zip(child.choices, a.choices, b.choices, strict=True))
        assert space.crossover(a, a, rng) == a

    def test_crossover_takes_from_both_parents(self, space: SearchSpace) -> None:
        first = space.architecture([0] * len(space.decisions))
        last = space.architecture([len(d.choices) - 1 for d in space.decisions])
        rng = Random(0)
        children = [space.crossover(first, last, rng) for _ in range(100)]
        for i in range(len(space.decisions)):
            assert {child.choices[i] for child in children} == {first.choices[i], last.choices[i]}

    @examples
    @given(seed=seeds)
    def test_neighbours_are_all_that_differ_in_one_decision(self, space: SearchSpace, seed: int) -> None:
        centre = space.sample(Random(seed))
        neighbours = list(space.neighbours(centre))
        for neighbour in neighbours:
            space.validate(neighbour)
            assert len(differences(centre, neighbour)) == 1
        assert len(neighbours) == sum(len(d.choices) - 1 for d in space.decisions)
        assert len(set(neighbours)) == len(neighbours)

    def test_architecture_is_data(self, space: SearchSpace) -> None:
        architecture = space.sample(Random(0))
        copy = pickle.loads(pickle.dumps(architecture))
        assert copy == architecture
        assert {copy: 1}[architecture] == 1
        assert space.architecture(list(architecture.choices)) == architecture

    @pytest.mark.parametrize("fault", ["space", "few", "many", "none", "high", "negative", "text", "fraction"])
    def test_what_is_not_of_the_space_is_refused(self, space: SearchSpace, fault: str) -> None:
        good = space.sample(Random(0))
        bad = {
            "space": replace(good, space=good.space + "x"),
            "few": replace(good, choices=good.choices[:-1]),
            "many": replace(good, choices=(*good.choices, 0)),
            "none": replace(good, choices=()),
            "high": replace(good, choices=(*good.choices[:-1], len(space.decisions[-1].choices))),
            "negative": replace(good, choices=(-1, *good.choices[1:])),
            "text": replace(good, choices=("0", *good.choices[1:])),  # type: ignore[arg-type]
            "fraction": replace(good, choices=(0.0, *good.choices[1:])),  # type: ignore[arg-type]
        }[fault]
        calls: tuple[Callable[[], object], ...] = (
            lambda: space.decode(bad),
            lambda: space.values(bad),
            lambda: space.validate(bad),
            lambda: space.mutate(bad, Random(0)),
            lambda: space.crossover(good, bad, Random(0)),
            lambda: space.crossover(bad, good, Random(0)),
            lambda: list(space.neighbours(bad)),
        )
        for call in calls:
            with pytest.raises(SpecError, match=r"but (got|.* is not)"):
                call()

    def test_networks_become_files_that_agree_and_can_be_timed(
        self, space: SearchSpace, interface: Interface, tmp_path: Path
    ) -> None:
        check_networks(drawn_specs(space, Random(0), DRAWN), interface, tmp_path)

    @pytest.mark.slow
    @pytest.mark.timeout(3600)
    def test_more_networks_become_files_that_agree_and_can_be_timed(
        self, space: SearchSpace, interface: Interface, tmp_path: Path
    ) -> None:
        check_networks(drawn_specs(space, Random(1), DRAWN_IF_SLOW), interface, tmp_path)


def drawn_specs(space: SearchSpace, rng: Random, count: int) -> list[Spec]:
    """Different specs of `count` random architectures."""
    return list(dict.fromkeys(space.decode(space.sample(rng)) for _ in range(count)))


def check_networks(specs: Sequence[Spec], interface: Interface, folder: Path) -> None:
    """Whether the networks run in ONNX Runtime as they do in PyTorch, and the first can be timed there.

    Args:
        specs: Of the networks.
        interface: Of all of them, but for the state that a network keeps.
        folder: For their files.
    """
    device = parse_device("onnxruntime")
    files = []
    for i, spec in enumerate(specs):
        torch.manual_seed(i)
        own = spec.with_state(interface)
        model = randomize_statistics(build(spec, own), i)
        files.append(device.export(model, spec, own, folder / f"network{i}"))
        device.verify(model, files[-1])
    latency = device.measure(files[0], folder, None, Protocol(pairs=2, loads=1, attempts=1))
    assert latency.ratio > 0
