"""Kill -9 in the middle of each kind of search for detectors: resumed, it is as one that was never stopped.

Latencies are those of an abacus, which are always the same: so are rewards, and what strategies make of them.
"""

import pytest
from killed import Killable, with_abacus
from small_boxes import write_shades, write_squares

from paretonas.store import Store
from paretonas.trial import State

QUICK = "layout=channels-last,precision=float32"
BRIEFLY = f"detection-search:epochs=3,batch_size=4,{QUICK}"
LONGER = BRIEFLY.replace("epochs=3", "epochs=6")
EVALUATIONS = "SELECT id, value, created FROM evaluations WHERE kind IN ('training', 'scored', 'latency')"
TRIALS = 8

NECKS = (
    "--resolution", 128, "--space", "nas-fpn:width=0.25,filters=16,stacks=1,head_layers=1", "--strategy", "ppo:batch=4",
    "--reward", "power", "--recipe", BRIEFLY, "--frozen",
)  # fmt: skip
DETNAS = (
    "--resolution", 128, "--space", "retinanet:backbone=detnas,width=0.25,filters=16,head_layers=1",
    "--supernet", "single", "--supernet-recipe", LONGER, "--checked", 0,
    "--strategy", "generational:population=3,generations=4,parents=2,mutations=1,crossovers=1", "--limit", "macs<=1e8",
    "--reward", "power", "--recipe", BRIEFLY,
)  # fmt: skip
SSDLITE = (
    "--resolution", 64, "--space", "ssdlite:width=0.25,last_filters=32", "--target-ms", 1,
    "--strategy", "regularized-evolution:population=3,tournament=2", "--recipe", BRIEFLY,
)  # fmt: skip


@pytest.fixture(scope="module")
def boxes(tmp_path_factory):
    return write_squares(tmp_path_factory.mktemp("boxes"), 24)


@pytest.fixture(scope="module")
def learned_first(tmp_path_factory):
    """Words that have backbones learn to classify before."""
    pictures = write_shades(tmp_path_factory.mktemp("pictures"), 60)
    return "--pretrain-data", pictures, "--pretrain-recipe", f"pretrain:epochs=12,batch_size=16,{QUICK}"


@pytest.fixture
def killed(tmp_path):
    return Killable(tmp_path / "killed", with_abacus(tmp_path))


@pytest.fixture
def whole(killed):
    return Killable(killed.home.parent / "whole", killed.surroundings)


def words(boxes, detector, *more):
    where = ("--device", "onnxruntime@abacus", "--executor", "serial")
    return (
        "search", "s", "--task", f"detection:detector={detector}", "--data", boxes, "--trials", TRIALS, *where, *more
    )  # fmt: skip


def found_by(command):
    """What a search has found out, but for how long that took."""
    trials = Store(command.home / "store.db").trials("s")
    assert [trial.state for trial in trials] == [State.COMPLETE] * TRIALS
    names = ("ap", "train_loss", "latency_ms")
    return [(trial.architecture, trial.reward, *map(trial.metrics.get, names)) for trial in trials]


def written(*files):
    return {file: file.stat().st_mtime_ns for file in files}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_necks_on_kept_features(boxes, learned_first, killed, whole):
    asked = words(boxes, "retinanet", *NECKS, *learned_first)
    killed.end(*asked, when=lambda: killed.is_learning("pretrained/classifier-*"), what="its backbone to learn")
    assert not killed.rows("SELECT 1 FROM trials")
    killed.end("resume", "s", when=lambda: killed.complete >= 3, what="three complete trials")
    (backbone,) = killed.home.glob("pretrained/classifier-*.safetensors")
    evaluated, made = killed.rows(EVALUATIONS), written(backbone, *_features(killed))
    assert killed.complete < TRIALS
    assert len(made) > 1
    killed.run("resume", "s")
    assert written(*made) == made
    assert set(evaluated) <= set(killed.rows(EVALUATIONS))

    whole.run(*asked)
    assert found_by(killed) == found_by(whole)
    assert len(_features(killed)) == len(_features(whole))


def _features(command):
    return sorted(command.home.glob("cache/features-*/*.safetensors"))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_detnas_in_each_of_its_phases(boxes, learned_first, killed, whole):
    asked = words(boxes, "retinanet", *DETNAS, *learned_first)
    killed.end(*asked, when=lambda: killed.is_learning("pretrained/classifiers-*"), what="classifiers to learn")
    killed.end("resume", "s", when=lambda: killed.is_learning("pretrained/supernet-*"), what="detectors to learn")
    (classifiers,) = killed.home.glob("pretrained/classifiers-*.safetensors")
    made = written(classifiers)
    assert not killed.rows("SELECT 1 FROM trials")
    killed.end("resume", "s", when=lambda: killed.complete >= 4, what="the second generation")
    (detectors,) = killed.home.glob("pretrained/supernet-*.safetensors")
    evaluated, made = killed.rows(EVALUATIONS), made | written(detectors)
    assert killed.complete < TRIALS
    killed.run("resume", "s")
    assert set(evaluated) <= set(killed.rows(EVALUATIONS))
    final = ("train", "s", "--final", "--trial", 2, "--recipe", LONGER)
    killed.end(*final, when=lambda: killed.is_learning("s/trial-2"), what="the winner to learn")
    (alone,) = killed.home.glob("pretrained/classifier-*.safetensors")
    made |= written(alone)
    killed.run(*final)
    assert written(*made) == made, "nothing is trained twice"
    assert "exported_ap" in Store(killed.home / "store.db").trials("s")[2].metrics

    whole.run(*asked)
    assert found_by(killed) == found_by(whole)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_ssdlite_on_mnasnet_s_space(boxes, killed, whole):
    asked = words(boxes, "ssdlite", *SSDLITE)
    killed.end(*asked, when=lambda: killed.complete >= 3, what="three complete trials")
    evaluated = killed.rows(EVALUATIONS)
    assert killed.complete < TRIALS
    killed.run("resume", "s")
    assert set(evaluated) <= set(killed.rows(EVALUATIONS))

    whole.run(*asked)
    assert found_by(killed) == found_by(whole)
