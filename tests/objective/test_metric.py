import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paretonas.errors import UnknownNameError
from paretonas.objective.metric import DERIVED, Metric, metric, metrics, of_kind, on_device

RISING = {
    "accuracy",
    "ap",
    "ap50",
    "ap75",
    "balanced_accuracy",
    "examples_per_second",
    "gradient_norm",
    "jacobian_covariance",
    "macro_f1",
    "reward",
    "synflow",
    "top5_accuracy",
}
TRAINING = {"accuracy", "ap", "examples_per_second", "perplexity", "reward", "train_loss", "train_seconds"}
TRAINING |= {"ap50", "ap75", "balanced_accuracy", "macro_f1", "top5_accuracy"}
UNTRAINED = {"gradient_norm", "jacobian_covariance", "synflow"}
DEVICE = {"estimated_ms", "estimated_spread", "latency_flags", "latency_ms", "latency_spread"}


@pytest.mark.parametrize("name", list(metrics))
def test_every_metric_has_its_direction_and_its_time(name):
    declared = metric(name)
    assert declared.name == name
    assert declared.is_rising is (name in RISING)
    known = {"training": TRAINING, "untrained": UNTRAINED, "device": DEVICE}
    assert declared.known == next((time for time, names in known.items() if name in names), "cost")
    assert declared.title


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("accuracy", 0.7525, "75.25 %"),
        ("ap", 0.23, "23.00 %"),
        ("perplexity", 62.4, "62.40"),
        ("latency_ms", 1.25, "1.25 ms"),
        ("latency_ms.phone", 78.0, "78 ms"),
        ("latency_spread", 0.0123, "1.2 %"),
        ("estimated_ms.phone", 1.25, "1.25 ms"),
        ("estimated_spread", 0.0123, "1.2 %"),
        ("params", 3_887_038, "3.89 M"),
        ("macs", 311_579_072, "311.6 M"),
        ("peak_memory_bytes", 4_816_896, "4.82 MB"),
        ("train_seconds", 61.4, "61 s"),
        ("reward", 0.524858, "0.5249"),
        ("synflow", 51.23456, "51.23"),
    ],
)
def test_value_is_printed_for_people(name, value, text):
    assert metric(name).text(value) == text


@pytest.mark.parametrize(
    ("name", "axis"), [("latency_ms", "latency (ms)"), ("reward", "reward"), ("macs", "MACs (M)"), ("ap", "AP (%)")]
)
def test_axis_has_the_unit_if_there_is_one(name, axis):
    assert metric(name).axis == axis


@pytest.mark.parametrize(
    ("name", "of", "title"),
    [
        ("test_accuracy", "accuracy", "test accuracy"),
        ("exported_accuracy", "accuracy", "exported accuracy"),
        ("final_latency_ms", "latency_ms", "final latency"),
        ("latency_ms.phone", "latency_ms", "latency on phone"),
        ("estimated_ms.phone", "estimated_ms", "estimated latency on phone"),
        ("final_latency_ms.pi-4", "latency_ms", "final latency on pi-4"),
        ("test_perplexity", "perplexity", "test perplexity"),
    ],
)
def test_derived_metric_is_as_the_one_that_it_comes_from(name, of, title):
    derived, original = metric(name), metric(of)
    assert (derived.name, derived.title) == (name, title)
    for field in ("is_rising", "known", "unit", "scale", "form"):
        assert getattr(derived, field) == getattr(original, field)


@pytest.mark.parametrize("name", ["", "latency", "latency_mss", "test_", "test_final_accuracy", "phone.latency_ms"])
def test_undeclared_metric_is_an_error(name):
    with pytest.raises(UnknownNameError, match="No metric is called"):
        metric(name)


def test_undeclared_metric_suggests_the_nearest():
    with pytest.raises(UnknownNameError, match="Did you mean 'latency_ms'"):
        metric("latency_mss")


def test_name_that_begins_like_a_derived_one_may_be_declared(monkeypatch):
    monkeypatch.setitem(metrics._entries, "test_score", "paretonas.objective.metric:PERPLEXITY")
    assert metric("test_score").title == "perplexity"


def test_best_value_is_the_largest():
    assert metric("accuracy").at_best(0.5) == 0.5
    assert metric("latency_ms.phone").at_best(5.0) == -5.0


devices = st.text("abcdefghij0123456789-_", max_size=8)
examples = settings(max_examples=50, deadline=None, database=None, derandomize=True)


@examples
@given(name=st.sampled_from(list(metrics)), prefix=st.sampled_from(["", *DERIVED]), device=devices)
def test_every_name_of_a_device_is_declared_and_found_by_its_kind(name, prefix, device):
    full = on_device(prefix + name, device)
    assert metric(full).name == full
    assert metric(full).is_rising is metric(name).is_rising
    assert of_kind(prefix + name, {full: 1.0, "other." + full: 2.0}) == {full: 1.0}


def test_kind_is_found_on_whichever_device():
    values = {"latency_ms": 1.0, "latency_ms.pi": 2.0, "latency_mss": 3.0, "final_latency_ms": 4.0, "params": 5.0}
    assert of_kind("latency_ms", values) == {"latency_ms": 1.0, "latency_ms.pi": 2.0}
    assert of_kind("macs", values) == {}


def test_declaration_is_of_plain_values():
    assert Metric("dice", "Dice", True, "training", "%", 100.0, ".1f").text(0.875) == "87.5 %"


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [("params", 1200, "1.2 k"), ("params", 0, "0.00 M"), ("macs", 99_000, "99.0 k"), ("macs", 2e5, "0.2 M"),
     ("weight_bytes", 4800, "4.8 kB"), ("accuracy", 0.0005, "0.05 %")],
)  # fmt: skip
def test_little_of_what_is_printed_in_millions_is_printed_in_thousands(name, value, text):
    assert metric(name).text(value) == text
