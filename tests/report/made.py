"""A store with a search of hand-made numbers and its companions; nothing is built, trained or timed."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from random import Random

from paretonas.latency import Latency
from paretonas.report.aims import Aims
from paretonas.space import Interface, spaces, spec_hash
from paretonas.store import Store
from paretonas.trial import State, Trial

SPACE = "mnasnet:resolution=32,width=0.5"
ZOO = "zoo:width=0.5,resolution=32,networks=mobilenet-v2*0.5+mnasnet-a1*0.5"
ALONE = [{"device": "onnxruntime", "name": "", "target_ms": 2.0}]
BOTH = [
    {"device": "onnxruntime", "name": "phone", "target_ms": 2.0},
    {"device": "torch", "name": "pi", "target_ms": 20.0},
]
"""Two devices."""
PHONE, PI = "latency_ms.phone", "latency_ms.pi"
CONFIG = {
    "seed": 0,
    "task": {"name": "classification", "data": "photos", "resolution": 32},
    "strategy": {"name": "ppo", "batch": 10},
    "device": ALONE,
    "recipe": {"name": "search"},
    "budget": {"trials": 9},
    "recorded": {"digest": "b2ee", "measured_on": "abacus", "validation": 1000, "quality": "accuracy"},
}
INTERFACE = Interface.of_images(channels=3, resolution=32, classes=10)
CONDITIONS = {"cpu": "abacus", "version": "1.31", "threads": 1, "load": 0.5, "date": "2026-11-25T00:51:23+00:00"}


def latency(milliseconds, flags=(), attempts=1, spread=0.0, day=25):
    """A latency whose headline is `milliseconds` and whose calibration is 1 ms."""
    ratios = tuple(milliseconds * (1 + spread * (i - 2) / 2) for i in range(5))
    conditions = {**CONDITIONS, "date": f"2026-11-{day}T00:51:23+00:00"}
    ones = (1.0,) * 5
    return Latency(ratios, ratios, ones, ones, 1e-3, "cpu", conditions, flags, attempts, loads=(1,) * 5)


def identity(device=""):
    """Of a device by the name that a search gives it."""
    return {"runtime": f"Engine({device!r})", "cpu": "abacus"}


def plain(interface):
    return json.loads(json.dumps(asdict(interface)))


def trials(points, space=SPACE, seed=0, names=("accuracy", "latency_ms")):
    """Complete trials with these values of the named metrics, of architectures drawn or, in a zoo, taken in order."""
    built, rng = spaces.create(space).build(), Random(seed)
    is_list = len(built.decisions) == 1
    made = []
    for i, values in enumerate(points):
        architecture = built.architecture([i]) if is_list else built.sample(rng)
        spec = spec_hash(built.decode(architecture))
        metrics = {**dict(zip(names, values, strict=True)), "latency_flags": 0, "params": 1e6, "macs": 2e7}
        made.append(Trial(i, architecture, spec, State.COMPLETE, metrics, reward=values[0], told=i))
    return made


def config_of(name, space=SPACE, **sections):
    """`CONFIG` with some sections replaced, or, where no other plugin is named, some of their fields."""
    is_here = space.partition(":")[0] in spaces
    config = {"name": name, **CONFIG, "space": spaces.read(space).to_json() if is_here else {"name": space}}
    for section, change in sections.items():
        is_part = isinstance(change, dict) and "name" not in change
        config[section] = {**config.get(section, {}), **change} if is_part else change
    return config


def add(store, name, made, *, timed=True, **sections):
    """Record a search with its trials, their evidence, and the timings of those that have a latency."""
    config = config_of(name, made[0].architecture.space if made else SPACE, **sections)
    store.create_search(name, config)
    names = list(Aims.of(config).latencies)
    known = [
        replace(t, evidence={n: store.id_of("latency", timing_key(t, n)) for n in names if n in t.metrics})
        for t in made
    ]
    if known:
        store.add_trials(name, known)
    for trial in known if timed else ():
        for metric in trial.evidence:
            put_timing(store, trial, latency(trial.metrics[metric]), metric)


def timing_key(trial, metric="latency_ms"):
    device = identity(metric.partition(".")[2])
    fed = {"spec": trial.spec_hash, "interface": plain(INTERFACE)}
    return {**fed, "device": device, "precision": "float32", "pairs": 5}


def put_timing(store, trial, timing, metric="latency_ms"):
    return store.put("latency", timing_key(trial, metric), asdict(timing))


def put_calibration(store, device="", shape=(1, 3, 32, 32)):
    inputs = [{"name": "images", "shape": list(shape), "dtype": "float32"}]
    store.put("calibration", {"inputs": inputs, "device": identity(device)}, asdict(latency(1.0)))


def finish(store, home, name, trial, score, milliseconds, recipe=None, quality="accuracy"):
    """Make a finalist of a stored trial, with its file; of several devices, `milliseconds` are by their names."""
    times = milliseconds if isinstance(milliseconds, dict) else {"": milliseconds}
    final = {f"test_{quality}": score, f"exported_{quality}": score}
    final |= {"final_latency_ms" + (f".{device}" if device else ""): ms for device, ms in times.items()}
    done = replace(trial, metrics={**trial.metrics, **final})
    store.update_trial(name, done)
    info = {
        "metrics": {f"test_{quality}": score},
        "latency": {device: asdict(latency(ms)) for device, ms in times.items()},
        "interface": plain(INTERFACE),
        "classes": list("abcdefghij"),
        "recipe": recipe or {"epochs": 30},
        "date": "2026-11-25",
    }
    folder = Path(home, name)
    folder.mkdir(exist_ok=True)
    (folder / f"trial-{trial.number}.json").write_text(json.dumps(info))
    return done


def add_baselines(store, name, random, zoo, **sections):
    """Random search and published networks beside a search."""
    own = {**CONFIG["recorded"], **sections.pop("recorded", {}), "baseline_of": name}
    add(store, f"{name}.random", random, **{**sections, "strategy": {"name": "random"}, "recorded": own})
    add(store, f"{name}.zoo", zoo, **{**sections, "strategy": {"name": "enumeration"}, "recorded": own})


def made_store(home):
    """The search `s` with random search and two published networks beside it.

    Within the target of 2 ms, trial 2 is best: 60 %, 1.5 ms. MobileNetV2 has 58 % at 2 ms and is matched by trial 1 at
    1.25 ms; MnasNet-A1 has 60 % at 1.8 ms.
    """
    store = Store(home / "store.db")
    add(store, "s", trials([(0.50, 1.0), (0.58, 1.25), (0.60, 1.5), (0.62, 2.5)]))
    random = trials([(0.40, 1.0), (0.55, 1.9), (0.57, 3.0)], seed=1)
    add_baselines(store, "s", random, trials([(0.58, 2.0), (0.60, 1.8)], ZOO))
    put_calibration(store)
    return store


def two_devices(home):
    """The search `d` on a phone and on a Pi, aiming at 2 and at 20 ms, with its baselines.

    Trial 3 is best on the phone but too slow on the Pi; trial 2 is within both targets.
    """
    store, names = Store(home / "store.db"), ("accuracy", PHONE, PI)
    points = [(0.50, 1.0, 10.0), (0.58, 1.25, 30.0), (0.60, 1.5, 15.0), (0.62, 1.9, 40.0), (0.63, 2.6, 19.0)]
    add(store, "d", trials(points, names=names), device=BOTH)
    random = trials([(0.40, 1.0, 9.0), (0.55, 1.9, 19.0), (0.57, 3.0, 21.0)], seed=1, names=names)
    zoo = trials([(0.58, 2.0, 14.0), (0.60, 1.8, 25.0)], ZOO, names=names)
    add_baselines(store, "d", random, zoo, device=BOTH)
    put_calibration(store, "phone")
    put_calibration(store, "pi")
    return store


def falling(home):
    """The search `p` after a small perplexity, with its baselines; rewards as inverse-square gives them."""
    store, names = Store(home / "store.db"), ("perplexity", "latency_ms")
    recorded = {**CONFIG["recorded"], "quality": "perplexity", "validation": 1000}

    def rewarded(points, space=SPACE, seed=0):
        return [replace(t, reward=80 / t.metrics["perplexity"] ** 2) for t in trials(points, space, seed, names)]

    add(store, "p", rewarded([(90.0, 1.0), (75.0, 1.25), (70.0, 1.5), (65.0, 2.5)]), recorded=recorded)
    random = rewarded([(95.0, 1.0), (80.0, 1.9), (79.0, 3.0)], seed=1)
    add_baselines(store, "p", random, rewarded([(75.0, 2.0), (70.0, 1.8)], ZOO), recorded=recorded)
    put_calibration(store)
    return store
