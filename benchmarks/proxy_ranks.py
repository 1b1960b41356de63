"""Does the search's short training rank networks as a longer one does, and did its recipe get better at it?

Networks are drawn at random from a space, none dearer than a limit of MACs. Each is trained by the recipe `search` for
two epochs as a search does: as the recipe was at first, with residual branches that begin at 0, and with Muon beside
these; and for ten, by the second way. All have the same images; the longer training has a seed of its own. Shown are
the rank correlations of the short trainings, and of counting MACs, with the long one. Trainings are kept as they end,
so the script goes on wherever it was stopped. Usage: proxy_ranks.py CIFAR10 OUTPUT.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from random import Random
from typing import Any

from conditions import conditions, print_conditions, print_table
from recipes import FIRST, IDENTITY, WITH_MUON
from scipy import stats
from trainings import Training, arguments, prepared, train_missing

from paretonas.network.cost import spec_cost
from paretonas.space import Spec, spaces
from paretonas.task.recipe import Recipe

RESOLUTION = 32
LONG = "ten epochs"
SHORT = {"at first": FIRST["search"], "identity": {**FIRST["search"], **IDENTITY}, "identity, muon": WITH_MUON}
MACS = "MACs"


def drawn(text: str, networks: int, most_macs: float) -> dict[str, tuple[Spec, int]]:
    """Random networks of a space that are not too dear, each with its MACs."""
    space, rng = spaces.create(text).build(), Random(0)
    found: dict[str, tuple[Spec, int]] = {}
    while len(found) < networks:
        architecture = space.sample(rng)
        spec = space.decode(architecture)
        macs = spec_cost(spec, spec.usual_interface(3, RESOLUTION, 10)).macs
        if macs <= most_macs:
            found["-".join(map(str, architecture.choices))] = spec, macs
    return found


def trainings(
    networks: Mapping[str, tuple[Spec, int]], recipe: Recipe, size: Mapping[str, Any], seeds: int, epochs: float
) -> Iterator[Training]:
    """The long one of each network, then the short ones."""
    for name, (spec, macs) in networks.items():
        key = {"network": name, "kind": LONG, "seed": seeds, **size}
        yield Training(key, spec, replace(recipe, **SHORT["identity"], epochs=epochs), {"macs": macs})
    for seed in range(seeds):
        for name, (spec, macs) in networks.items():
            for kind, changed in SHORT.items():
                key = {"network": name, "kind": kind, "seed": seed, **size}
                yield Training(key, spec, replace(recipe, **changed), {"macs": macs})


def compared(rows: Sequence[Mapping[str, Any]], seeds: int) -> Iterator[tuple[str, ...]]:
    """A line for each way to foretell the accuracy after the long training: how well it ranks, what it reaches."""
    long = {row["network"]: row["accuracy"] for row in rows if row["kind"] == LONG}
    macs = {row["network"]: row["macs"] for row in rows if row["kind"] == LONG}
    ways = {(MACS, 0): macs}
    for kind in SHORT:
        for seed in range(seeds):
            own = [row for row in rows if (row["kind"], row["seed"]) == (kind, seed)]
            ways[kind, seed] = {row["network"]: row["accuracy"] for row in own}
    for (kind, seed), values in ways.items():
        names = [name for name in long if name in values]
        if len(names) < 3:
            continue
        pair = [values[name] for name in names], [long[name] for name in names]
        best = max(names, key=lambda name: values[name])
        lost = 100 * (max(long.values()) - long[best])
        tau, rho = (float(test(*pair).statistic) for test in (stats.kendalltau, stats.spearmanr))
        reached = "" if kind == MACS else f"{100 * min(pair[0]):.1f} to {100 * max(pair[0]):.1f}"
        yield kind, str(seed), str(len(names)), f"{tau:.2f}", f"{rho:.2f}", f"{lost:.1f}", reached


def main() -> None:
    """Train, keep and show."""
    parser = arguments(__doc__, epochs=2, seeds=2)
    parser.add_argument("--space", default="elastic:width=0.5")
    parser.add_argument("--networks", type=int, default=12)
    parser.add_argument("--long", type=float, default=10, help="epochs of the longer training")
    parser.add_argument("--most-macs", type=float, default=10e6, help="of a network that is drawn")
    options = parser.parse_args()
    print_conditions(conditions())
    task, recipe, size = prepared(options, RESOLUTION)
    networks = drawn(options.space, options.networks, options.most_macs)
    wanted = [*trainings(networks, recipe, size, options.seeds, options.long)]
    rows = train_missing(wanted, task, options.output / "proxies.parquet", options.workers, options.minutes)
    own = [row for row in rows if all(row[key] == value for key, value in size.items())]
    print_table(
        ("foretold by", "seed", "networks", "Kendall's tau", "Spearman", "points lost by its best", "accuracies, %"),
        compared(own, options.seeds),
    )


if __name__ == "__main__":
    main()
