"""Results that were kept as files become a store again in which everything is as it was."""

import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

from paretonas import Architecture, Store
from paretonas.evaluation import keys
from paretonas.trial import State, Trial

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))
export_store, halving, replay = map(importlib.import_module, ("export_store", "halving", "replay_proposals"))

LATENCY = {
    "candidate_wall": [2.0, 3.0], "candidate_cpu": [2.0, 2.0], "reference_wall": [1.0, 1.0],
    "reference_cpu": [1.0, 1.0], "calibrated": 0.001, "clock": "thread",
    "conditions": {"load": 0.5, "core": None, "threads": 2}, "flags": [], "attempts": 1, "loads": [2],
}  # fmt: skip
PHONE = {**LATENCY, "conditions": {"load": "unknown"}}
EVALUATIONS = [
    ("latency", {"spec": "a" * 16, "device": {"threads": 1}, "pairs": 10}, LATENCY),
    ("latency", {"spec": "b" * 16, "device": {"serial": "x"}, "pairs": 10}, PHONE),
    ("training", {"spec": "a" * 16, "recipe": {"epochs": 2.0}, "share": 1 / 3}, {"accuracy": 0.5}),
    ("calibration", {"inputs": [{"shape": [1, 3, 32, 32]}]}, LATENCY),
    ("profile", {"spec": "a" * 16}, {"latency": LATENCY, "profile": {"operations": []}}),
    ("tuning", {"machine": {"cores": 2}}, {"layout": "contiguous"}),
    ("untrained", {"spec": "a" * 16, "seed": 0}, {"synflow": 0.1 + 0.2}),
    ("scored", {"spec": "a" * 16, "examples": 500}, {"accuracy": 0.4}),
    ("fitted", {"drawn": "d" * 16, "networks": 20}, {"digest": "e" * 64}),
    ("predictor", {"digest": "e" * 64}, {"samples": []}),
    ("trust", {"supernet": "s" * 16, "networks": 12}, {"tau": 0.6}),
    ("estimate", {"spec": "a" * 16, "predictor": "p" * 16}, {"latency_ms": 1.0}),
    ("morph", {"spec": "a" * 16, "widths": [8]}, {"widths": [4]}),
]


def trials_of(evidence):
    """One that ended well, one that failed, one that runs, one that a gate stopped."""
    spaces = [Architecture("toy", choices) for choices in ((1, 2), (0, 2), (0, 0), (1, 1))]
    metrics = {"accuracy": 0.5, "macs": 3, "latency_ms.phone": 2.0}
    return [
        Trial(0, spaces[0], "a" * 16, State.COMPLETE, metrics, evidence, 0.4, seed=7, told=1),
        Trial(1, spaces[1], "b" * 16, State.FAILED, error="it broke", retries=3, told=0, seconds=2.5),
        Trial(2, spaces[2], "c" * 16, State.RUNNING, {"macs": 2}, {"cost": None}, context={"log_probs": [-0.5]}),
        Trial(3, spaces[3], "d" * 16, State.PRUNED, reward=0.0, error="over", stopped_by="limits", told=2),
    ]


def test_all_kinds_of_evaluations_are_kept():
    kinds = set(re.findall(r'Key\("(\w+)"', inspect.getsource(keys)))
    assert kinds == {kind for kind, *_ in EVALUATIONS} == {"latency", *export_store.KINDS}


def test_exported_store_is_restored_as_it_was(tmp_path):
    store = Store(tmp_path / "home" / "store.db")
    ids = {store.put(*evaluation): evaluation for evaluation in EVALUATIONS}
    trials = trials_of({"cost": None, **{f"stage{i}": id for i, id in enumerate(ids)}})
    store.create_search("s", {"name": "s", "task": {"name": "classification", "data": "/somewhere/photos"}})
    store.create_search("s.random", {"name": "s.random", "table": {"file": "/somewhere/rows.parquet", "metric": "acc"}})
    learned_first = {"task": {"data": "/somewhere/pictures"}, "seed": 1}
    store.create_search("s.pretrained", {"name": "s.pretrained", "pretrain": learned_first})
    store.add_trials("s", trials)
    store.set_seconds("s", 12.5)
    export_store.export(tmp_path / "home", tmp_path / "kept")
    for file in (tmp_path / "kept").glob("*.json"):
        assert "somewhere" not in file.read_text()
    export_store.restore(tmp_path / "kept", tmp_path / "again", "/elsewhere/photos")
    again = Store(tmp_path / "again" / "store.db")
    assert again.trials("s") == trials
    assert again.trials("s.random") == []
    assert again.config("s") == {"name": "s", "task": {"name": "classification", "data": "/elsewhere/photos"}}
    assert again.config("s.random")["table"] == {"file": "/elsewhere/photos", "metric": "acc"}
    assert again.config("s.pretrained")["pretrain"] == {"task": {"data": "/elsewhere/pictures"}, "seed": 1}
    assert again.seconds("s") == 12.5
    assert {id: again.evaluation(id) for id in ids} == ids


def test_store_without_timings_is_restored(tmp_path):
    store = Store(tmp_path / "home" / "store.db")
    store.create_search("s", {"name": "s", "table": {"file": "t.parquet"}})
    export_store.export(tmp_path / "home", tmp_path / "kept")
    export_store.restore(tmp_path / "kept", tmp_path / "again", "digits")
    again = Store(tmp_path / "again" / "store.db")
    assert [search.name for search in again.searches()] == ["s"]
    assert again.evaluations("latency") == []


# The searches under docs/results


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("restored")
    export_store.restore(ROOT / "docs" / "results" / "cifar10-100", folder, "nowhere")
    return folder


NAMES = ("asha", "evolution", "ppo", "ppo.random", "ppo.zoo", "surrogate")


@pytest.mark.parametrize("name", NAMES)
def test_kept_trials_have_the_evidence_of_their_metrics(home, name):
    store = Store(home / "store.db")
    stages = 0
    for trial in store.trials(f"cifar10-{name}"):
        for stage, id in trial.evidence.items():
            if id is not None:
                kind, key, value = store.evaluation(id)
                assert (kind, key["spec"]) == (stage.partition("/")[0].removesuffix("_ms"), trial.spec_hash)
                if kind == "training" and key["share"] == trial.fidelity and trial.told is not None:
                    assert {metric: trial.metrics[metric] for metric in value} == value
                stages += 1
    assert stages >= 2 * len([trial for trial in store.trials(f"cifar10-{name}") if trial.told is not None])


@pytest.mark.slow
def test_kept_search_by_ppo_proposes_what_it_proposed(home):
    words = [sys.executable, ROOT / "benchmarks" / "replay_proposals.py", home, "cifar10-ppo", "8"]
    ran = subprocess.run(words, capture_output=True, text=True)
    assert ran.stdout == "100 of 100 proposals are what the stored history says they should be\n", ran.stderr


@pytest.mark.parametrize(("name", "batch"), [("asha", 4), ("evolution", 8), ("ppo.random", 8), ("ppo.zoo", 8)])
def test_kept_searches_propose_what_they_proposed(home, name, batch):
    store = Store(home / "store.db")
    trials = store.trials(f"cifar10-{name}")
    replayed = replay.replayed_proposals(replay.stored_plan(f"cifar10-{name}", store, home), trials, batch)
    assert replayed == [trial.architecture for trial in trials]


def test_kept_plans_are_those_that_were_recorded(home):
    plan = replay.stored_plan("cifar10-surrogate", Store(home / "store.db"), home)
    assert (plan.name, plan.seed, plan.goals.metrics, plan.prior) == ("cifar10-surrogate", 0, ("reward",), ())
    assert (plan.objective.quality, plan.objective.targets) == ("accuracy", {"latency_ms": 0.4656457758499162})


def test_stages_of_the_kept_halving_foretell_what_is_reported(home):
    store = Store(home / "store.db")
    whole, halved = (
        {trial.spec_hash: trial for trial in store.trials(name)} for name in ("cifar10-ppo.random", "cifar10-asha")
    )
    assert halving.stages(store, "accuracy", whole, halved) == [("11 %", 100, 39, "0.30"), ("33 %", 39, 14, "0.63")]
