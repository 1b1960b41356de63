"""A search, a final training and an export of the package's own kind; run by a Python where it is installed."""

import json
import sys
from pathlib import Path

from paretonas import Store, front_trials, new_search, open_search, train_trials
from paretonas.evaluation import latencies
from paretonas.search.choice import choose
from paretonas.search.exporting import export_trial
from paretonas.search.finish import Finishing
from paretonas.search.sections import config_from_json
from paretonas.space.transform import Transform
from paretonas.task.recipe import Recipe

CONFIG = {
    "name": "vectors",
    "task": "regression:points=200",
    "space": "perceptrons:widest=16",
    "strategy": "random",
    "objective": {"limits": ["params<=1e6"]},
    "device": {"device": "onnxruntime", "target_ms": 0.05},
    "recipe": "search:epochs=10,batch_size=32,lr=0.05,layout=contiguous,precision=float32",
    "executor": "serial",
    "torch_device": "cpu",
    "budget": {"trials": 2},
}
FINAL = Recipe(epochs=30, batch_size=32, lr=0.05, layout="contiguous", precision="float32")

for protocol in (latencies.QUICK, latencies.RECORD):  # nobody asks how good a time is
    object.__setattr__(protocol, "attempts", 1)


def main(home: Path) -> None:
    """Print what was found."""
    store = Store(home / "store.db")
    new_search(config_from_json(CONFIG), store, home).run()
    search = open_search("vectors", store, home)
    trials = store.trials("vectors")
    chosen = choose(trials, "rmse", {"latency_ms": 0.05})
    (finalist,) = train_trials(search, chosen, Finishing(FINAL))
    (wide,) = train_trials(search, chosen, Finishing(FINAL, is_final=False))
    file = export_trial(store, "vectors", home, finalist.trial, "onnx", home / "best.onnx")
    try:
        train_trials(search, chosen, Finishing(FINAL, transform=Transform(resolution=16)))
        refused = ""
    except Exception as error:
        refused = f"{type(error).__name__}: {error}"
    found = {
        "config": store.config("vectors"),
        "states": [trial.state.value for trial in trials],
        "metrics": [dict(trial.metrics) for trial in trials],
        "rewards": [trial.reward for trial in trials],
        "front": [trial.number for trial in front_trials(trials, "rmse", ["latency_ms"])],
        "finalist": finalist.metrics,
        "validated": wide.metrics,
        "stored": dict(store.trials("vectors")[finalist.trial].metrics),
        "info": json.loads(finalist.checkpoint.with_suffix(".json").read_text()),
        "file": str(file),
        "refused": refused,
    }
    (home / "found.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
