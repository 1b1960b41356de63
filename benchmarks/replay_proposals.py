"""Does a search that was killed and resumed propose what an undisturbed one would?

A fresh strategy is told the stored trials in the stored order; what it proposes on the way is compared with what the
store holds. Usage: python benchmarks/replay_proposals.py HOME NAME BATCH, where BATCH is four times the workers.
"""

import sys
from pathlib import Path

from paretonas import Store, open_search
from paretonas.testing.replay import replayed_proposals

if __name__ == "__main__":
    home, name, batch = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    store = Store(home / "store.db")
    trials = store.trials(name)
    replayed = replayed_proposals(open_search(name, store, home), trials, batch)
    equal = sum(a == trial.architecture for a, trial in zip(replayed, trials, strict=True))
    print(f"{equal} of {len(trials)} proposals are what the stored history says they should be")
    sys.exit(equal < len(trials))
