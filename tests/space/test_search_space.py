from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paretonas.errors import SpecError
from paretonas.space import Architecture, Decision, ForeignSpec, SearchSpace, spaces, spec_hash
from paretonas.space.mnasnet import MnasNetSpace
from paretonas.space.space import MUTATION_TRIES, RESTRICTED_TRIES

examples = settings(max_examples=50, deadline=None, database=None, derandomize=True)
seeds = st.integers(0, 2**32 - 1)


def decode(values):
    return ForeignSpec("toy:" + ".".join(map(str, values.values())))


def digits(spec):
    return list(map(int, spec.source.removeprefix("toy:").split(".")))


def total(spec):
    return sum(digits(spec))


SPACE = SearchSpace("toy", tuple(Decision(f"d{i}", (0, 1, 2, 3)) for i in range(6)), decode)


# Decisions


@pytest.mark.parametrize("choices", [(), (1, 1), (1, 1.0), ("a", "b", "a")])
def test_decision_refuses_choices_that_do_not_differ(choices):
    with pytest.raises(SpecError, match=r"choices that all differ, but 'block1\.op' has"):
        Decision("block1.op", choices)


def test_symbols_of_decisions_that_offer_the_same_are_equal():
    a, b, c = Decision("a", ("conv", "pool")), Decision("b", ("conv", "pool")), Decision("c", ("conv", "pool", "none"))
    assert a.symbols == b.symbols
    assert not set(a.symbols) & set(c.symbols)
    assert len(set(a.symbols)) == 2


def test_symbols_of_decisions_of_a_kind_are_equal_by_the_choice():
    ops = Decision("op", ("conv", "pool"), kind="op")
    more = Decision("other op", ("pool", "none", "conv"), kind="op")
    inputs = Decision("input", ("conv", "pool"), kind="input")
    assert [ops.symbols.index(symbol) for symbol in (more.symbols[2], more.symbols[0])] == [0, 1]
    assert more.symbols[1] not in ops.symbols
    assert not set(ops.symbols) & set(inputs.symbols)


# Spaces


@pytest.mark.parametrize("names", [(), ("a", "b", "a")])
def test_space_refuses_decisions_without_names_of_their_own(names):
    with pytest.raises(SpecError, match="names of their own, but 'toy' has"):
        SearchSpace("toy", tuple(Decision(name, (1, 2)) for name in names), lambda values: ForeignSpec("a:b"))


def test_mutate_draws_again_where_the_spec_stays_the_same():
    decisions = (Decision("idle", tuple(range(50))), Decision("depth", (18, 34)))
    space = SearchSpace("toy", decisions, lambda v: ForeignSpec(f"timm:resnet{v['depth']}"))
    parent = space.architecture([0, 0])
    assert {space.mutate(parent, Random(seed)).choices for seed in range(50)} == {(0, 1)}


def test_samples_and_mutants_of_a_seed_are_those_of_earlier_versions():
    space = MnasNetSpace(resolution=32).build()
    first = space.sample(Random("0/ask/0"))
    assert "".join(map(str, first.choices)) == "201111111200201211301111100222000011311221"
    assert "".join(map(str, space.mutate(first, Random(1)).choices)) == "201111110200201211301111100222000011311221"
    assert (
        "".join(map(str, space.crossover(first, space.sample(Random(2)), Random(3)).choices))
        == "200111201220301211301111310202100001201121"
    )


# Lengths


GROWING = SearchSpace("growing", SPACE.decisions, decode, lengths=(2, 4, 6))


def test_prefix_of_a_length_is_an_architecture():
    for n in (2, 4, 6):
        architecture = GROWING.architecture([1, 2, 3, 0, 1, 2][:n])
        assert digits(GROWING.decode(architecture)) == [1, 2, 3, 0, 1, 2][:n]
        assert list(GROWING.values(architecture)) == [f"d{i}" for i in range(n)]


@pytest.mark.parametrize("n", [0, 1, 3, 5, 7])
def test_prefix_of_another_length_is_refused(n):
    with pytest.raises(SpecError, match=f"each of its 2 or 4 or 6 decisions, but got {n}"):
        GROWING.architecture([0] * n)


def test_full_length_alone_is_usual():
    assert SPACE.lengths == (6,)
    with pytest.raises(SpecError, match="each of its 6 decisions, but got 4"):
        SPACE.architecture([0] * 4)


@pytest.mark.parametrize("lengths", [(2, 4), (4, 2, 6), (2, 2, 6), (0, 6), (-1, 6), (2, 6, 8), (7,)])
def test_lengths_that_do_not_rise_to_all_decisions_are_refused(lengths):
    with pytest.raises(SpecError, match=r"rise to the number of its decisions, but 'growing' has .* and 6 decisions"):
        SearchSpace("growing", SPACE.decisions, decode, lengths=lengths)


def test_what_is_drawn_and_counted_has_full_length():
    assert GROWING.size == SPACE.size == 4**6
    assert {len(GROWING.sample(Random(seed)).choices) for seed in range(20)} == {6}


@examples
@given(seed=seeds, n=st.sampled_from([2, 4, 6]))
def test_mutants_and_neighbours_of_a_prefix_have_its_length(seed, n):
    rng = Random(seed)
    parent = GROWING.architecture([rng.randrange(4) for _ in range(n)])
    mutant = GROWING.mutate(parent, rng)
    assert sum(a != b for a, b in zip(parent.choices, mutant.choices, strict=True)) == 1
    neighbours = list(GROWING.neighbours(parent))
    assert {len(one.choices) for one in neighbours} == {n}
    assert len(neighbours) == 3 * n
    other = GROWING.architecture([rng.randrange(4) for _ in range(n)])
    assert len(GROWING.crossover(parent, other, rng).choices) == n


def test_crossover_of_different_lengths_is_refused():
    with pytest.raises(SpecError, match="parents of one length, but got 2 and 4"):
        GROWING.crossover(GROWING.architecture([0, 0]), GROWING.architecture([0] * 4), Random(0))


def test_restriction_holds_for_prefixes_too():
    few = GROWING.restricted(lambda spec: total(spec) <= 3)
    assert few.contains(GROWING.architecture([0, 3]))
    assert not few.contains(GROWING.architecture([1, 3]))
    for neighbour in few.neighbours(GROWING.architecture([0, 3])):
        assert len(neighbour.choices) == 2
        assert sum(neighbour.choices) <= 3


# Restrictions


@examples
@given(seed=seeds, bound=st.integers(3, 18))
def test_what_a_restricted_space_gives_is_accepted(seed, bound):
    space, rng = SPACE.restricted(lambda spec: total(spec) <= bound), Random(seed)
    a, b = space.sample(rng), space.sample(rng)
    given_ones = [a, b, space.mutate(a, rng), space.crossover(a, b, rng), *space.neighbours(a)]
    assert all(sum(one.choices) <= bound and space.contains(one) for one in given_ones)
    assert space.mutate(a, rng) != a
    assert set(space.neighbours(a)) == {one for one in SPACE.neighbours(a) if sum(one.choices) <= bound}


def test_restricted_space_is_the_same_but_for_what_it_accepts():
    space = SPACE.restricted(lambda spec: total(spec) <= 9)
    assert (space.name, space.decisions, space.size, space.lengths) == (SPACE.name, SPACE.decisions, 4**6, (6,))
    far = SPACE.architecture([3] * 6)
    assert space.decode(far) == SPACE.decode(far)  # what is stored is read, whatever is accepted now
    assert SPACE.contains(far)
    assert not space.contains(far)


def test_samples_of_a_restricted_space_are_uniform_over_what_it_accepts():
    space, rng = SearchSpace("two", SPACE.decisions[:2], decode).restricted(lambda s: total(s) <= 2), Random(0)
    counts = {}
    for _ in range(6000):
        choices = space.sample(rng).choices
        counts[choices] = counts.get(choices, 0) + 1
    assert set(counts) == {(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (2, 0)}
    assert all(880 < count < 1120 for count in counts.values())


def test_samples_that_are_accepted_are_those_of_the_whole_space():
    rng, same = Random(5), Random(5)
    space = SPACE.restricted(lambda spec: True)
    assert [space.sample(rng) for _ in range(20)] == [SPACE.sample(same) for _ in range(20)]


def test_restrictions_add_up():
    space = SPACE.restricted(lambda spec: total(spec) >= 8).restricted(lambda spec: digits(spec)[0] == 3)
    for seed in range(20):
        choices = space.sample(Random(seed)).choices
        assert sum(choices) >= 8
        assert choices[0] == 3


def test_hopeless_restriction_is_an_error_after_so_many_draws():
    asked = []
    space = SPACE.restricted(lambda spec: asked.append(spec))
    with pytest.raises(SpecError, match=r"of 10,000 drawn in 'toy' none was\. Loosen the restriction"):
        space.sample(Random(0))
    assert len(asked) == RESTRICTED_TRIES


def test_mutate_of_an_architecture_without_accepted_neighbours_gives_itself():
    only = SPACE.architecture([3] * 6)
    space = SPACE.restricted(lambda spec: total(spec) == 18)
    assert space.mutate(only, Random(0)) == only
    assert list(space.neighbours(only)) == []


def test_crossover_without_accepted_children_gives_the_first_parent():
    asked = []
    a, b = SPACE.architecture([0] * 6), SPACE.architecture([3] * 6)

    def accepts(spec):
        asked.append(spec)
        return False

    assert SPACE.restricted(accepts).crossover(a, b, Random(0)) == a
    assert len(asked) == MUTATION_TRIES


@pytest.mark.parametrize("name", list(spaces))
def test_every_space_can_be_restricted(name):
    space = spaces.create(name).build()
    first = space.decode(space.sample(Random(0)))
    others = space.restricted(lambda spec: spec != first)
    assert others.decode(others.sample(Random(0))) != first
    assert not others.contains(space.sample(Random(0)))


def test_canonical_is_the_architecture_itself_where_nothing_is_known():
    assert SPACE.canonical((0, 1, 2, 3, 0, 1)) == (0, 1, 2, 3, 0, 1)
    sorting = SearchSpace("toy", SPACE.decisions, decode, lambda choices: tuple(sorted(choices)))
    assert sorting.canonical((3, 1, 2, 0, 0, 1)) == (0, 0, 1, 1, 2, 3)
    assert sorting.restricted(lambda spec: True).canonical((1, 0, 0, 0, 0, 0)) == (0, 0, 0, 0, 0, 1)


def test_architectures_of_another_space_are_not_contained():
    with pytest.raises(SpecError, match="belongs to its space"):
        SPACE.restricted(lambda spec: True).contains(Architecture("other", (0,) * 6))


def test_some_networks_are_the_same_every_time_and_all_differ():
    space = spaces.create("mnasnet").build()
    some = space.some(50)
    assert some == space.some(50)
    assert len({spec_hash(spec) for spec in some}) == 50


def test_some_networks_are_fewer_where_there_are_not_as_many():
    assert len(spaces.create("zoo:networks=mobilenet-v2+mnasnet-a1").build().some(50)) == 2
