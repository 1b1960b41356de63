"""What stopping early saves and loses on real trainings: one search that stopped, beside the same one trained in full.

Both searches propose the same networks with the same seeds, as random search does; one was run with `--fidelity asha`.
Of every network it is then known what it would have reached.

Usage: python benchmarks/halving.py HOME FULL STOPPED
HOME holds the store; FULL and STOPPED are the names of the searches.
"""

import sys
from pathlib import Path

import numpy as np
from conditions import conditions, print_conditions, print_table
from scipy import stats

from paretonas import Store
from paretonas.trial import State, Trial


def main(home: Path, full: str, stopped: str) -> None:
    """Print what was paid, what was kept, and what the stages foretold."""
    print_conditions(conditions())
    store = Store(home / "store.db")
    whole = {trial.spec_hash: trial for trial in store.trials(full)}
    halved = {trial.spec_hash: trial for trial in store.trials(stopped)}
    if whole.keys() != halved.keys() or any(trial.state is not State.COMPLETE for trial in whole.values()):
        sys.exit(f"Both searches must hold the same networks, {full} all of them complete.")
    order = sorted(whole, key=lambda h: -(whole[h].reward or 0.0))
    rewards = np.array([whole[h].reward for h in order])
    kept = [h for h in order if halved[h].state is State.COMPLETE]
    paid = sum(trial.fidelity for trial in halved.values())
    afford = int(paid)
    print(f"trained: {paid:.1f} of {len(order)} trainings ({100 * paid / len(order):.0f} %)")
    print(f"best reward: {max(halved[h].reward or 0.0 for h in kept):.4f}; trained in full: {rewards[0]:.4f}")
    print(f"the best of {afford} of them trained in full, on average: {expected_best(rewards, afford):.4f}")
    for n in (1, 5, 10, 20):
        print(f"of the best {n}, trained to the end: {sum(h in kept for h in order[:n])}")
    quality = store.config(stopped)["recorded"]["quality"]
    print_table(
        ("stage", "networks", "went on", f"rank correlation of {quality} with that in full"),
        stages(store, quality, whole, halved),
    )


def expected_best(rewards: np.ndarray, n: int) -> float:
    """Mean of the largest of `n` of the rewards, which come in descending order, over all choices of `n`."""
    chance, found = 1.0, 0.0
    for i, reward in enumerate(rewards):
        left = len(rewards) - i
        found += chance * min(1.0, n / left) * reward
        chance *= 1 - min(1.0, n / left)
    return found


def stages(
    store: Store, quality: str, whole: dict[str, Trial], halved: dict[str, Trial]
) -> list[tuple[str, int, int, str]]:
    """A row for each stage but the last."""
    reached: dict[float, dict[str, float]] = {}
    for spec, trial in halved.items():
        for id in filter(None, trial.evidence.values()):
            found = store.evaluation(id)
            if found is not None and found[0] == "training":
                reached.setdefault(found[1]["share"], {})[spec] = found[2][quality]
    rows = []
    for share in sorted(share for share in reached if share < 1):
        here = reached[share]
        on = sum(halved[h].fidelity > share for h in here)
        pairs = [(here[h], whole[h].metrics[quality]) for h in here]
        correlation = stats.spearmanr(*zip(*pairs, strict=True))[0]
        rows.append((f"{100 * share:.0f} %", len(here), on, f"{correlation:.2f}"))
    return rows


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), *sys.argv[2:])
