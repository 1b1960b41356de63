"""Estimated latencies: what is measured for them, when they are trusted, and the stage that gives them."""

import pytest

from paretonas.device import parse_device
from paretonas.errors import ExportError, MachineError, MeasureError, StoreError
from paretonas.evaluation.device_job import run_listing
from paretonas.evaluation.estimates import (
    Estimating,
    EstimatingEvaluator,
)
from paretonas.evaluation.evaluator import INLINE, About, Call, Evaluator, Evidence, Stage
from paretonas.evaluation.keys import Key
from paretonas.latency import Estimate
from paretonas.loop.listener import SILENT, Listener
from paretonas.network.cost import spec_cost
from paretonas.network.operations import operations
from paretonas.space import Decision, Interface, SearchSpace, spec_from_json, spec_hash, spec_to_json
from paretonas.space.mnasnet import BlockSpec, MnasNetSpec
from paretonas.space.nasbench import Cell201Spec
from paretonas.store import Store
from paretonas.testing.evaluator import EvaluatorContract

IMAGES = Interface.of_images(3, 16, 10)
OFFERED = {"kernel": (3, 5), "layers": (1, 2, 3), "expansion": (2, 3, 4, 6), "filters": (8, 16, 24), "se": (0.0, 0.25)}


def small_space(stem):
    """Networks of one to three layers."""

    def decode(values):
        kernel, layers, expansion, filters, se = (values[name] for name in OFFERED)
        block = BlockSpec("mbconv", kernel, filters, layers, 2, expansion, se, "identity")
        return MnasNetSpec((block,), stem_filters=stem, head_filters=32)

    return SearchSpace(f"small {stem}", tuple(Decision(*one) for one in OFFERED.items()), decode)


SPACE = small_space(8)
PHONE, PI = parse_device("phone=onnxruntime"), parse_device("pi=torch")
NETWORKS, DRAWN = 24, 3


def milliseconds(spec, unit=1e-7):
    """What a made-up device takes."""
    return sum(0.01 + unit * (one.macs + one.moved) for one in operations(spec, IMAGES))


def measure(spec, unit):
    return {"ms": milliseconds(spec_from_json(spec), unit)}


def refuse(spec, error):
    raise error


class Measuring(Evaluator):
    """Counts, measures on made-up devices, and knows every accuracy."""

    quality = "accuracy"

    def __init__(self, store, units):
        self.store, self.units, self.measured, self.prepared = store, units, [], 0
        self.refusing = {}
        self.work, self.flags = measure, 0.0

    def prepare(self, listener):
        self.prepared += 1

    def stages(self):
        cost = Stage(
            "cost",
            INLINE,
            ("macs",),
            lambda spec: None,
            lambda spec: Call(float, (spec_cost(spec, IMAGES).macs,)),
            lambda spec, macs: Evidence({"macs": macs}),
        )
        score = Stage(
            "training",
            INLINE,
            ("accuracy",),
            lambda spec: None,
            lambda spec: Call(float, (0.5,)),
            lambda spec, value: Evidence({"accuracy": value}),
            1.0,
        )
        return (cost, *(self.latency(name) for name in self.units), score)

    def latency(self, name):
        def key(spec):
            return Key("latency", {"spec": spec_hash(spec), "device": name})

        def known(spec):
            value = key(spec).get(self.store)
            return None if value is None else Evidence(metrics(value), key(spec).id(self.store))

        def call(spec):
            self.measured.append((name, spec_hash(spec)))
            if spec_hash(spec) in self.refusing:
                return Call(refuse, (spec, self.refusing[spec_hash(spec)]))
            return Call(self.work, (spec_to_json(spec), self.units[name]))

        def keep(spec, found):
            return Evidence(metrics(found), key(spec).put(self.store, found))

        def metrics(found):
            return {metric: found["ms"], f"latency_flags.{name}": self.flags}

        metric = f"latency_ms.{name}"
        return Stage(metric, f"device:{name}", (metric,), known, call, keep)

    def about(self):
        return About(("on made-up devices",), "digest", "made-up")

    def usual_ms(self, name, listener):
        return {"latency_ms.phone": 3.0, "latency_ms.pi": 30.0}[name]


@pytest.fixture(autouse=True)
def few_drawn(monkeypatch):
    monkeypatch.setattr("paretonas.evaluation.estimates.DRAWN", DRAWN)


@pytest.fixture
def store():
    return Store("sqlite://")


@pytest.fixture
def inner(store):
    return Measuring(store, {"phone": 1e-7, "pi": 1e-6})


@pytest.fixture
def make(store, inner):
    def make(networks=None, inner=inner, space=SPACE):
        networks = {"phone": NETWORKS} if networks is None else networks
        return EstimatingEvaluator(inner, IMAGES, (PHONE, PI), Estimating(lambda: space, networks), store)

    return make


@pytest.fixture
def evaluator(make):
    evaluator = make()
    evaluator.prepare(SILENT)
    return evaluator


def notes_of(evaluator):
    notes = []
    evaluator.prepare(Listener(notes.append))
    return " ".join(notes)


def names(evaluator):
    return [stage.name for stage in evaluator.stages()]


def stage(evaluator, name="estimated_ms.phone"):
    return {one.name: one for one in evaluator.stages()}[name]


def unseen(evaluator, count=10):
    seen = {spec for _, spec in evaluator._inner.measured}
    return [spec for spec in SPACE.some(60)[::-1] if spec_hash(spec) not in seen][:count]


class TestEstimating(EvaluatorContract):
    @pytest.fixture
    def evaluator(self, make):
        evaluator = make({"phone": NETWORKS, "pi": NETWORKS})
        evaluator.prepare(SILENT)
        return evaluator

    @pytest.fixture
    def spec(self):
        return SPACE.some(1)[0]


# The stage


def test_estimate_takes_the_place_of_the_measured_latency_and_its_lane(make):
    evaluator = make()  # before it is prepared, as wishes are checked then
    assert names(evaluator) == ["cost", "estimated_ms.phone", "latency_ms.pi", "training"]
    assert stage(evaluator).lane == "device:phone"
    assert stage(evaluator).gives == ("estimated_ms.phone", "estimated_spread.phone")
    assert stage(evaluator).share is None


def test_estimates_are_near_what_would_have_been_measured(evaluator):
    for spec in unseen(evaluator):
        found = stage(evaluator).evidence(spec).metrics
        assert found["estimated_ms.phone"] == pytest.approx(milliseconds(spec), rel=0.1)
        assert 0 < found["estimated_spread.phone"] < 0.5
        assert found.keys() == {"estimated_ms.phone", "estimated_spread.phone"}


def test_network_is_listed_in_the_lane_and_estimated_outside_of_it(evaluator):
    (spec,) = unseen(evaluator, 1)
    call = stage(evaluator).call(spec)
    assert call.function is run_listing
    assert call.function(*call.arguments) == operations(spec, IMAGES)


def test_estimate_is_kept_under_the_id_of_the_predictor_that_made_it(evaluator, store):
    (spec,) = unseen(evaluator, 1)
    evidence = stage(evaluator).evidence(spec)
    kind, key, value = store.evaluation(evidence.id)
    assert (kind, key["spec"]) == ("estimate", spec_hash(spec))
    assert value.keys() == {"latency_ms", "low_ms", "high_ms"}
    kind, _, fitting = store.evaluation(key["predictor"])
    assert kind == "predictor"
    assert len(fitting["samples"]) == NETWORKS
    assert stage(evaluator).known(spec) == evidence


def test_damaged_estimate_is_a_store_error(evaluator, store):
    (spec,) = unseen(evaluator, 1)
    stage(evaluator).evidence(spec)
    ((key, _),) = store.evaluations("estimate")
    store.put("estimate", key, {"latency_ms": 1.0})
    with pytest.raises(StoreError, match="A stored estimate"):
        stage(evaluator).known(spec)


def test_estimate_of_here_and_now_is_the_same_and_is_not_kept(evaluator, store):
    (spec,) = unseen(evaluator, 1)
    found = evaluator.estimate(spec, PHONE)
    assert isinstance(found, Estimate)
    assert store.evaluations("estimate") == []
    assert stage(evaluator).evidence(spec).metrics["estimated_ms.phone"] == found.latency_ms


@pytest.mark.parametrize(
    "spec", [Cell201Spec(("skip_connect",) * 6), MnasNetSpec((BlockSpec("mbconv", 11, 16),))], ids=["kind", "operation"]
)
def test_what_the_predictor_was_not_fitted_for_is_refused_when_it_is_kept(evaluator, store, spec):
    one = stage(evaluator)
    call = one.call(spec)  # the loop calls this unguarded
    listing = call.function(*call.arguments)
    with pytest.raises(MeasureError, match="An estimate is of"):
        one.keep(spec, listing)
    assert store.evaluations("estimate") == []


# Preparation


def test_as_many_networks_are_measured_as_are_asked_for_and_each_once(evaluator, inner, store):
    assert inner.prepared == 1
    assert len(inner.measured) == len(set(inner.measured)) == NETWORKS
    assert {name for name, _ in inner.measured} == {"phone"}
    assert len(store.evaluations("latency")) == NETWORKS


def test_predictor_is_fitted_once_and_then_known(evaluator, make, store):
    again = Measuring(store, {"phone": 1e-7, "pi": 1e-6})
    other = make(inner=again)
    other.prepare(SILENT)
    assert again.measured == []
    for spec in unseen(evaluator, 3):
        assert other.estimate(spec, PHONE) == evaluator.estimate(spec, PHONE)
    assert len(store.evaluations("predictor")) == 1


def test_interrupted_preparation_goes_on_where_it_was(make, store, inner):
    def give_up(spec, unit):
        if len(inner.measured) == 10:
            raise KeyboardInterrupt
        return measure(spec, unit)

    inner.work = give_up
    with pytest.raises(KeyboardInterrupt):
        make().prepare(SILENT)
    assert store.evaluations("predictor") == []
    inner.work = measure
    make().prepare(SILENT)
    assert len(inner.measured) == NETWORKS + 1  # the one that was interrupted is begun anew


def test_other_networks_number_device_or_pairs_are_other_predictors(evaluator, make, store):
    make({"phone": NETWORKS + 1}).prepare(SILENT)
    assert len(store.evaluations("predictor")) == 2
    make(space=small_space(16)).prepare(SILENT)
    assert len(store.evaluations("predictor")) == 3
    make({"pi": NETWORKS}).prepare(SILENT)
    assert len(store.evaluations("predictor")) == 4


def test_it_says_how_good_the_predictor_is(make):
    said = notes_of(make())
    assert "The latency on phone is estimated by a predictor: of 24 measured networks, each held out once," in said
    assert "Kendall's tau of" in said
    assert "busy" not in said


def test_it_says_that_the_machine_was_busy(make, inner):
    inner.flags = 2.0
    assert "24 of these timings are flagged" in notes_of(make())
    assert "24 of these timings are flagged" in notes_of(make()), "also of what is stored"


def test_what_cannot_be_measured_is_left_out(make, inner, store):
    for spec in SPACE.some(DRAWN * NETWORKS)[::2]:
        inner.refusing[spec_hash(spec)] = ExportError("no")
    many = make({"phone": 60})
    many.prepare(SILENT)
    ((_, fitting),) = store.evaluations("predictor")
    assert NETWORKS <= len(fitting["samples"]) < 60
    assert not {sample["latency"] for sample in fitting["samples"]} & inner.refusing.keys()


def test_where_too_few_can_be_measured_each_candidate_is(make, inner, store):
    for spec in SPACE.some(DRAWN * NETWORKS):
        inner.refusing[spec_hash(spec)] = MeasureError("no")
    evaluator = make()
    said = notes_of(evaluator)
    assert "A predictor is fitted on 10 networks or more, but got 0" in said
    assert "So each candidate is measured on phone." in said
    assert names(evaluator) == ["cost", "latency_ms.phone", "latency_ms.pi", "training"]
    assert store.evaluations("predictor") == []


def test_fault_of_the_machine_ends_the_preparation(make, inner):
    for spec in SPACE.some(DRAWN * NETWORKS):
        inner.refusing[spec_hash(spec)] = MachineError("full")
    with pytest.raises(MachineError, match="full"):
        make().prepare(SILENT)


def erratic(spec, unit):
    return {"ms": 1.0 + int(spec_hash(spec_from_json(spec)), 16) % 7}


def test_where_a_predictor_errs_too_much_each_candidate_is_measured(make, inner, store):
    inner.work = erratic
    evaluator = make()
    said = notes_of(evaluator)
    assert "A predictor errs by 10 % at most on average, but of 24 measured networks" in said
    assert names(evaluator) == ["cost", "latency_ms.phone", "latency_ms.pi", "training"]
    ((_, fitting),) = store.evaluations("predictor")
    assert fitting["error"] > 0.1
    before = len(inner.measured)
    assert "A predictor errs" in notes_of(make())  # found out once
    assert len(inner.measured) == before


def test_one_device_may_be_estimated_while_the_other_is_measured(make, inner):
    evaluator = make({"phone": NETWORKS, "pi": NETWORKS})
    evaluator.prepare(SILENT)
    assert names(evaluator) == ["cost", "estimated_ms.phone", "estimated_ms.pi", "training"]
    for spec in unseen(evaluator, 3):
        assert evaluator.estimate(spec, PI).latency_ms > evaluator.estimate(spec, PHONE).latency_ms


def test_usual_latency_is_measured_for_an_estimate_too(evaluator):
    assert evaluator.usual_ms("estimated_ms.phone", SILENT) == 3.0
    assert evaluator.usual_ms("latency_ms.pi", SILENT) == 30.0


def test_all_else_is_of_the_evaluator_within(evaluator, inner):
    assert evaluator.about() == inner.about()
    assert (evaluator.quality, evaluator.is_buildable) == ("accuracy", True)
    assert evaluator.seconds_a_trial() == 0.0
    evaluator.forget(unseen(evaluator, 1)[0])
