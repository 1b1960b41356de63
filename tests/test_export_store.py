"""Results that were kept as files become a store again in which everything is as it was."""

import importlib
import sys
from pathlib import Path

from paretonas import Architecture, Store
from paretonas.trial import State, Trial

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
export_store = importlib.import_module("export_store")

TRIALS = [
    Trial(0, Architecture("toy", (1, 2)), "a" * 16, State.COMPLETE, {"accuracy": 0.5, "macs": 3}, 0.4, seed=7, told=1),
    Trial(1, Architecture("toy", (0, 2)), "b" * 16, State.FAILED, {}, None, error="it broke", told=0, seconds=2.5),
    Trial(2, Architecture("toy", (0, 0)), "c" * 16, State.RUNNING, {"latency_ms": 2.0}, context={"log_probs": [-0.5]}),
]
LATENCY = {
    "candidate_wall": [2.0, 3.0], "candidate_cpu": [2.0, 2.0], "reference_wall": [1.0, 1.0],
    "reference_cpu": [1.0, 1.0], "calibrated": 0.001, "clock": "cpu", "conditions": {"load": 0.5, "core": 1},
    "flags": [], "attempts": 1,
}  # fmt: skip


def test_exported_store_is_restored_as_it_was(tmp_path):
    store = Store(tmp_path / "home" / "store.db")
    store.create_search("s", {"name": "s", "data": "/somewhere/photos", "limits": []})
    store.create_search("s.random", {"name": "s.random", "data": "digits"})
    store.add_trials("s", TRIALS)
    store.set_seconds("s", 12.5)
    store.put("latency", {"spec": "a" * 16, "pairs": 10}, LATENCY)
    store.put("latency", {"spec": "b" * 16, "pairs": 10}, {**LATENCY, "conditions": {"threads": 2}})
    store.put("accuracy", {"spec": "a" * 16, "recipe": {"epochs": 2.0}}, {"accuracy": 0.5})
    store.put("calibration", {"cpu": "x"}, LATENCY)
    export_store.export(tmp_path / "home", tmp_path / "kept")
    assert "somewhere" not in (tmp_path / "kept" / "s.json").read_text()
    export_store.restore(tmp_path / "kept", tmp_path / "again", "/elsewhere/photos")
    again = Store(tmp_path / "again" / "store.db")
    assert again.trials("s") == TRIALS
    assert again.trials("s.random") == []
    assert again.config("s") == {**store.config("s"), "data": "/elsewhere/photos"}
    assert again.seconds("s") == 12.5
    for kind in ("latency", "accuracy", "calibration"):
        assert sorted(map(str, again.evaluations(kind))) == sorted(map(str, store.evaluations(kind)))
        for key, value in store.evaluations(kind):
            assert again.get(kind, key) == value
