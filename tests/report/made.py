"""A store with a search of hand-made numbers and its companions; nothing is built, trained or timed."""

import json
from dataclasses import asdict
from pathlib import Path
from random import Random

from paretonas.latency import Latency
from paretonas.space import spaces, spec_hash
from paretonas.store import Store
from paretonas.trial import State, Trial

SPACE = "mnasnet:resolution=32,width=0.5"
ZOO = "zoo:width=0.5,resolution=32,networks=mobilenet-v2*0.5+mnasnet-a1*0.5"
CONFIG = {
    "data": "photos", "target_ms": 2.0, "device": "onnxruntime", "width": 0.5, "strategy": "ppo", "recipe": "search",
    "val_images": 1000, "digest": "b2ee", "seed": 0, "limits": [],
}  # fmt: skip
CONDITIONS = {"cpu": "abacus", "version": "1.31", "threads": 1, "load": 0.5, "date": "2026-11-25T00:51:23+00:00"}


def latency(milliseconds, flags=(), attempts=1, spread=0.0, day=25):
    """A latency whose headline is `milliseconds` and whose calibration is 1 ms."""
    ratios = tuple(milliseconds * (1 + spread * (i - 2) / 2) for i in range(5))
    conditions = {**CONDITIONS, "date": f"2026-11-{day}T00:51:23+00:00"}
    ones = (1.0,) * 5
    return Latency(ratios, ratios, ones, ones, 1e-3, "cpu", conditions, flags, attempts, loads=(1,) * 5)


def trials(points, space=SPACE, seed=0):
    """Complete trials with these (accuracy, latency in ms), of architectures drawn or, in a zoo, taken in order."""
    built, rng = spaces.create(space).build(), Random(seed)
    is_list = len(built.decisions) == 1
    made = []
    for i, (accuracy, milliseconds) in enumerate(points):
        architecture = built.architecture([i]) if is_list else built.sample(rng)
        spec = spec_hash(built.decode(architecture))
        metrics = {"accuracy": accuracy, "latency_ms": milliseconds, "latency_flags": 0, "params": 1e6, "macs": 2e7}
        made.append(Trial(i, architecture, spec, State.COMPLETE, metrics, accuracy, told=i))
    return made


def add(store, name, made, *, timed=True, **changes):
    """Record a search with its trials and the timings of those that have a latency."""
    store.create_search(
        name, {**CONFIG, "name": name, "space": made[0].architecture.space if made else SPACE, **changes}
    )
    if made:
        store.add_trials(name, made)
    for trial in made if timed else ():
        if "latency_ms" in trial.metrics:
            put_timing(store, trial, latency(trial.metrics["latency_ms"]))


def put_timing(store, trial, timing):
    key = {"spec": trial.spec_hash, "input_shape": [1, 3, 32, 32], "classes": 10, "ms": timing.latency_ms}
    store.put("latency", key, asdict(timing))


def finish(store, home, name, trial, accuracy, milliseconds, recipe=None):
    """Make a finalist of a stored trial, with its file."""
    final = {"test_accuracy": accuracy, "exported_accuracy": accuracy, "final_latency_ms": milliseconds}
    done = Trial(**{**vars(trial), "metrics": {**trial.metrics, **final}})
    store.update_trial(name, done)
    info = {
        "metrics": {"test_accuracy": accuracy},
        "latency": asdict(latency(milliseconds)),
        "input": {"shape": [1, 3, 32, 32]},
        "classes": list("abcdefghij"),
        "recipe": recipe or {"epochs": 30},
        "date": "2026-11-25",
    }
    folder = Path(home, name)
    folder.mkdir(exist_ok=True)
    (folder / f"trial-{trial.number}.json").write_text(json.dumps(info))
    return done


def made_store(home):
    """The search `s` with random search and two published networks beside it.

    Within the target of 2 ms, trial 2 is best: 60 %, 1.5 ms. MobileNetV2 has 58 % at 2 ms and is matched by trial 1 at
    1.25 ms; MnasNet-A1 has 60 % at 1.8 ms.
    """
    store = Store(home / "store.db")
    add(store, "s", trials([(0.50, 1.0), (0.58, 1.25), (0.60, 1.5), (0.62, 2.5)]))
    add(store, "s.random", trials([(0.40, 1.0), (0.55, 1.9), (0.57, 3.0)], seed=1), strategy="random")
    add(store, "s.zoo", trials([(0.58, 2.0), (0.60, 1.8)], ZOO), strategy="enumeration")
    store.put("calibration", {"cpu": "abacus"}, asdict(latency(1.0)))
    return store
