"""Ranges, errors and what is kept in float, on numbers made by hand."""

import numpy as np
import pytest

from paretonas.errors import DataError, ExportError, UsageError
from paretonas.export import quantize
from paretonas.export.quantize import (
    Deviation,
    Quantization,
    check_deviations,
    ends_of,
    find_ends,
    histogram,
    is_within,
    keep_worst,
    one_by_one,
)


def numbers(count=100_000, seed=0):
    return np.random.default_rng(seed).standard_normal(count, np.float32)


def ends(array, **options):
    """By which these numbers are quantized."""
    (found,) = find_ends(lambda example: [example[0]], [(array,)], Quantization(**options))
    return found


def error(array, low, high):
    """Mean squared, of 256 steps between these ends."""
    step = (high - low) / 255
    return float(np.mean((np.round(array.clip(low, high) / step) * step - array) ** 2))


# Options


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"method": "entropy"}, "method is one of minmax, percentile, mse"),
        ({"activations": "float16"}, "uint8 or int8"),
        ({"examples": 0}, "1 <= examples <= 10000"),
        ({"percentile": 50.0}, "90 <= percentile <= 100"),
        ({"percentile": float("nan")}, "percentile=nan"),
        ({"keep": "stem"}, "list of modules"),
        ({"keep": ("stem", "")}, "list of modules"),
    ],
)
def test_options_out_of_their_range_are_refused(wrong, said):
    with pytest.raises(UsageError, match=said):
        Quantization(**wrong)


def test_weights_have_7_bits_where_a_processor_may_overflow():
    assert Quantization().is_narrow
    assert not Quantization(activations="int8").is_narrow
    assert Quantization(activations="int8", narrow_weights=True).is_narrow
    assert not Quantization(narrow_weights=False).is_narrow


def test_a_module_is_within_what_it_is_or_is_in():
    found = [
        is_within(module, ["stem", "blocks.1"]) for module in ("blocks.1", "blocks.1.0", "blocks.10", "blocks", "")
    ]
    assert found == [True, True, False, False, False]


# Examples


def test_examples_are_looked_at_one_by_one_up_to_their_number():
    first, second = np.arange(6.0).reshape(3, 2), np.arange(3)
    found = one_by_one([(first, second), (first + 10, second)], 4)
    assert [x.shape for x in found[0]] == [(1, 2), (1,)]
    assert [x[0].tolist() for x in found] == [[[0, 1]], [[2, 3]], [[4, 5]], [[10, 11]]]
    assert [x[1].tolist() for x in found] == [[0], [1], [2], [0]]
    assert len(one_by_one([(first, second)], 100)) == 3


@pytest.mark.parametrize(
    ("examples", "said"),
    [
        ([], "got none"),
        ([(np.zeros((2, 3)), np.zeros((1, 3)))], "of one batch"),
        ([(np.zeros((0, 3)),)], "of one batch"),
        ([(np.float32(1.0),)], "of one batch"),
        ([(np.array([[1.0, np.nan]]),)], "number 0 holds NaN"),
        ([()], "of one batch"),
    ],
)
def test_examples_that_cannot_be_used_are_data_errors(examples, said):
    with pytest.raises(DataError, match=said):
        one_by_one(examples, 10)


# Ends


def test_a_histogram_holds_every_number():
    x = numbers(1000)
    counts = histogram(x, (float(x.min()), float(x.max())))
    assert (len(counts), counts.sum()) == (quantize.BINS, 1000)
    assert histogram(np.zeros(5, np.float32), (0.0, 0.0)).sum() == 5


def test_minmax_are_the_least_and_the_greatest_of_all_examples():
    examples = [(np.array([[1.0, 2.0]]),), (np.array([[-3.0, 0.0]]),)]
    found = find_ends(lambda example: [example[0], -example[0]], examples, Quantization())
    assert found == [(-3.0, 2.0), (-2.0, 3.0)]


def test_percentile_leaves_as_much_out_on_either_side():
    low, high = ends(numbers(), method="percentile", percentile=95.0)
    assert (low, high) == (pytest.approx(-1.96, abs=0.02), pytest.approx(1.96, abs=0.02))
    assert ends(np.abs(numbers()), method="percentile", percentile=90.0)[1] == pytest.approx(1.96, abs=0.02)
    x = numbers(1000)
    assert ends(x, method="percentile", percentile=100.0) == pytest.approx((x.min(), x.max()), abs=0.01)


def test_mse_is_the_least_that_a_search_finds():
    x = np.random.default_rng(0).laplace(size=100_000).astype(np.float32)
    low, high = ends(x, method="mse")
    largest = float(np.abs(x).max())
    assert max(-low, high) < 0.95 * largest
    assert error(x, low, high) < 1.05 * min(error(x, -limit, limit) for limit in np.linspace(0.1, 1, 40) * largest)
    assert ends(np.linspace(-1, 1, 10_000, dtype=np.float32), method="mse") == pytest.approx((-1, 1), abs=0.03)


@pytest.mark.parametrize("array", [np.abs(numbers()), -np.abs(numbers()), numbers() + 5, np.maximum(numbers(), 0)])
@pytest.mark.parametrize("method", ["percentile", "mse"])
def test_ends_lie_within_what_was_seen_and_err_little(array, method):
    low, high = ends(array, method=method)
    assert min(0, array.min()) - 1e-6 <= low < high <= max(0, array.max()) + 1e-6
    assert error(array, min(low, 0.0), max(high, 0.0)) < 1e-3 * float(np.mean(array**2))


@pytest.mark.parametrize("method", ["minmax", "percentile", "mse"])
def test_a_tensor_of_one_number_keeps_it(method):
    counts = histogram(np.full(9, 2.5, np.float32), (2.5, 2.5))
    assert ends_of(counts, (2.5, 2.5), Quantization(method=method)) == (2.5, 2.5)


# Errors


def deviation(*pairs):
    found = Deviation()
    for expected, given in pairs:
        found.add(np.array(expected), np.array(given))
    return found


def test_deviation_is_what_is_computed_by_hand():
    found = deviation(([3.0, 4.0], [3.0, 4.5]), ([3.0, 0.0], [3.0, 0.0]))
    assert found.relative == pytest.approx((0.25 / 34) ** 0.5)
    assert found.unexplained == pytest.approx(0.25 / 8)  # 4 and 0 are 2 from their mean
    assert deviation(([2.0], [1.0])).unexplained == deviation(([2.0], [1.0])).relative ** 2 == 0.25
    assert deviation(([0.0], [0.0])).relative == 0
    assert deviation(([0.0], [1.0])).relative == float("inf")


@pytest.mark.parametrize(
    "pairs",
    [
        [([10.0, 1.0], [10.5, 1.0]), ([10.0, 2.0], [10.5, 1.0])],  # a constant that is near
        [([1.0], [1.5]), ([2.0], [1.5])],  # the mean
        [([1.0], [float("nan")]), ([2.0], [2.0])],
        [([1.0], [float("inf")]), ([2.0], [2.0])],
    ],
)
def test_an_output_that_says_nothing_of_its_example_is_refused(pairs):
    with pytest.raises(ExportError, match=r"'logits' of a\.onnx errs by .* Keep the modules most to blame in float"):
        check_deviations({"logits": deviation(*pairs)}, "a.onnx")


def test_an_output_that_errs_little_is_none():
    check_deviations({"logits": deviation(([10.0], [10.2]), ([11.0], [11.1]))}, "a.onnx")


def test_several_tensors_are_as_one():
    pairs = [([3.0], [3.5], [8.0, 1.0], [8.0, 0.0]), ([5.0], [5.0], [6.0, 1.0], [6.0, 1.0])]
    parts = deviation(*(pair[:2] for pair in pairs)), deviation(*(pair[2:] for pair in pairs))
    whole = deviation(*(([*a, *c], [*b, *d]) for a, b, c, d in pairs))
    both = Deviation.of_all(parts)
    assert (both.relative, both.unexplained) == pytest.approx((whole.relative, whole.unexplained))


# What to keep in float


@pytest.mark.parametrize("needed", [0, 1, 2, 3, 5, 7, 8, 13, 20])
def test_the_fewest_modules_that_are_enough_are_kept(tmp_path, needed):
    blame, written = [f"m{i}" for i in range(20)], []

    def write(keep):
        written.append(keep)
        return tmp_path / str(len(keep))

    made = keep_worst(write, lambda path: float(path.name), blame, needed)
    assert made[-1].keep == tuple(blame[:needed]) == written[-1]
    assert made[-1].score == needed
    assert len({attempt.keep for attempt in made}) == len(made) <= 12


def test_where_nothing_is_enough_the_best_is_kept(tmp_path):
    written = []

    def write(keep):
        written.append(keep)
        return tmp_path / str(len(keep))

    made = keep_worst(write, lambda path: -abs(float(path.name) - 2), ["a", "b", "c", "d", "e"], 1.0)
    assert made[-1].keep == ("a", "b") == written[-1]
    assert [len(attempt.keep) for attempt in made] == [0, 1, 4, 5, 2]


@pytest.mark.parametrize(("attempts", "kept"), [(1, 0), (2, 1), (3, 2), (4, 4), (5, 8), (6, 6), (7, 5)])
def test_attempts_are_bounded(tmp_path, attempts, kept):
    made = keep_worst(
        lambda keep: tmp_path / str(len(keep)), lambda path: float(path.name), [f"m{i}" for i in range(9)], 5, attempts
    )
    assert len(made) == attempts
    assert len(made[-1].keep) == kept
    with pytest.raises(UsageError, match="attempts > 0"):
        keep_worst(lambda keep: tmp_path, lambda path: 0.0, ["a"], 0, 0)
