from dataclasses import replace

import pytest

from paretonas.device import parse_device
from paretonas.device.timing import Samples
from paretonas.errors import MeasureError
from paretonas.evaluation.estimates import Estimating, EstimatingEvaluator
from paretonas.evaluation.own_table import OwnTable
from paretonas.evaluation.profiling import ProfileOptions, TimedEvaluator, profile_space, tau_of_macs
from paretonas.evaluation.timed import Timed
from paretonas.loop.listener import SILENT
from paretonas.space import Decision, Interface, SearchSpace
from paretonas.space.mnasnet import BlockSpec, MnasNetSpec
from paretonas.store import Store

IMAGES = Interface.of_images(3, 16, 10)
OFFERED = {"kernel": (3, 5), "layers": (1, 2, 3), "expansion": (2, 4, 6), "filters": (8, 16, 24)}


def decode(values):
    kernel, layers, expansion, filters = (values[name] for name in OFFERED)
    block = BlockSpec("mbconv", kernel, filters, layers, 2, expansion, skip="identity")
    return MnasNetSpec((block,), stem_filters=8, head_filters=16)


SPACE = SearchSpace("small", tuple(Decision(*one) for one in OFFERED.items()), decode)
OPTIONS = ProfileOptions(SPACE, IMAGES, 20)


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "store.db")
    yield store
    store.close()


@pytest.fixture
def device(monkeypatch):
    """Takes as long as a file is large."""
    found = parse_device("onnxruntime")

    def measure(transport, runtime, candidate, reference, protocol):
        one, other = ((1e-9 * file.path.stat().st_size,) * protocol.pairs for file in (candidate, reference))
        return Samples(one, one, other, other, True, protocol.portions), {"load": 0.0}

    monkeypatch.setattr(type(found.transport), "measure", measure)
    return found


def test_a_profile_is_what_a_search_with_estimates_finds(device, store, tmp_path, monkeypatch):
    fitting = profile_space(device, OPTIONS, store, tmp_path, SILENT)
    assert len(fitting.samples) == 20
    assert fitting.error < 0.1
    assert 0.8 < fitting.rank <= 1
    assert -1 <= tau_of_macs(fitting, IMAGES) <= 1

    def never(*asked):
        raise AssertionError("it is known")

    monkeypatch.setattr(type(device.transport), "measure", never)
    inner = TimedEvaluator(Timed(device, IMAGES, store, tmp_path))
    evaluator = EstimatingEvaluator(inner, IMAGES, (device,), Estimating(lambda: SPACE, {"": 20}), store)
    assert evaluator.fit(device, SILENT) == fitting
    evaluator.prepare(SILENT)
    assert [stage.name for stage in evaluator.stages()] == ["estimated_ms"]
    assert evaluator.estimate(SPACE.some(1)[0], device).latency_ms > 0


def test_a_profile_needs_networks(device, store, tmp_path):
    rest = {"layers": 1, "expansion": 2, "filters": 8}
    few = SearchSpace("few", SPACE.decisions[:1], lambda values: decode({**rest, **values}))
    with pytest.raises(MeasureError, match="10 networks or more, but got 2"):
        profile_space(device, ProfileOptions(few, IMAGES, 20), store, tmp_path, SILENT)


def test_a_table_and_other_devices_take_the_place_of_measurements(device, store, tmp_path, monkeypatch):
    """And what it began from is asked for again, not looked for."""
    first = profile_space(device, OPTIONS, store, tmp_path, SILENT)
    assert (first.earlier, first.table) == ((), "")

    def never(*asked):
        raise AssertionError("nothing is measured")

    monkeypatch.setattr(type(device.transport), "measure", never)
    table = OwnTable("mine.csv", tuple(replace(one, latency_ms=3 * one.latency_ms) for one in first.samples[:12]))
    other = parse_device("pi=torch")
    given = profile_space(other, ProfileOptions(SPACE, IMAGES, table=table), store, tmp_path, SILENT)
    assert (len(given.samples), len(given.earlier), given.table) == (12, 1, "mine.csv")
    assert given.error < 0.02  # the other device tells nearly all
    assert profile_space(other, ProfileOptions(SPACE, IMAGES, 12), store, tmp_path, SILENT) == given


def table_of(fitting, factor):
    return OwnTable(f"{factor}.csv", tuple(replace(one, latency_ms=factor * one.latency_ms) for one in fitting.samples))


def test_another_predictor_in_the_place_of_one_changes_nothing_that_began_from_it(device, store, tmp_path):
    first, other = profile_space(device, OPTIONS, store, tmp_path, SILENT), parse_device("pi=torch")

    def give(device, table):
        return profile_space(device, ProfileOptions(SPACE, IMAGES, table=table), store, tmp_path, SILENT)

    def evaluator(device):
        timed = TimedEvaluator(Timed(device, IMAGES, store, tmp_path))
        found = EstimatingEvaluator(timed, IMAGES, (device,), Estimating(lambda: SPACE, {device.name: 20}), store)
        found.prepare(SILENT)
        return found

    def estimated(device):
        (stage,) = evaluator(device).stages()
        return stage.evidence(unseen).metrics[stage.name]

    unseen = SPACE.some(300)[-1]
    begun = give(other, table_of(first, 3))
    assert begun.earlier == (first.digest,)
    before, here = estimated(other), estimated(device)
    replaced = give(device, table_of(first, 7))
    assert replaced.table == "7.csv"
    assert evaluator(other).estimate(unseen, other).latency_ms == before
    assert estimated(device) == pytest.approx(7 * here, rel=0.01)  # the stored estimate was another one's
