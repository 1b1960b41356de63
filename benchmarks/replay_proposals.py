"""Does a search that was killed and resumed propose what an undisturbed one would?

A fresh strategy is told the stored trials in the stored order; what it proposes on the way is compared with what the
store holds. Neither data nor device of the search need be there. Usage: python benchmarks/replay_proposals.py HOME NAME
BATCH, where BATCH is four times the workers.
"""

import sys
from pathlib import Path

from paretonas import Objective, Search, Store
from paretonas.evaluation.table import TableEvaluator
from paretonas.evaluation.trained import Folders, Schooling, TrainedEvaluator
from paretonas.loop.plan import Plan
from paretonas.objective import Limit, rewards
from paretonas.objective.metric import on_device
from paretonas.search.sections import config_from_json
from paretonas.space import spaces
from paretonas.task import recipes, tasks
from paretonas.testing.replay import replayed_proposals


def stored_plan(name: str, store: Store, home: Path) -> Plan:
    """The plan of a recorded search, from its configuration alone: a strategy needs neither data nor device."""
    config = config_from_json(store.config(name))
    search = Search(config, store, home)
    names = [on_device("latency_ms", device.name if len(config.devices) > 1 else "") for device in config.devices]
    pairs = zip(names, config.devices, strict=True)
    search.objective = Objective(
        config.recorded.quality,
        rewards.create(config.reward),
        {metric: device.target_ms for metric, device in pairs if device.target_ms is not None},
        tuple(map(Limit.parse, config.limits)),
    )
    if config.table is not None:
        search.evaluator = table = TableEvaluator(config.table)
        search.space = table.table.space()
    else:
        schooling, folders = Schooling(recipes.create(config.recipe), config.seed), Folders(home, home)
        search.evaluator = TrainedEvaluator(tasks.create(config.task), (), schooling, store, folders)
        search.space = spaces.create(config.space).build()
    return search.plan()


if __name__ == "__main__":
    home, name, batch = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    store = Store(home / "store.db")
    trials = [trial for trial in store.trials(name) if trial.told is not None]
    replayed = replayed_proposals(stored_plan(name, store, home), trials, batch)
    equal = sum(a == trial.architecture for a, trial in zip(replayed, trials, strict=True))
    print(f"{equal} of {len(trials)} proposals are what the stored history says they should be")
    sys.exit(equal < len(trials))
