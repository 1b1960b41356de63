"""Where do rewards lead a search? Sampled latencies under the soft, the hard and the accuracy-only reward.

MnasNet's section on soft and hard latency constraints, on NAS-Bench-201 with the latencies of a real phone: PPO and
regularized evolution with each reward and several seeds; what is shown are the second halves of the searches.

    soft     (latency / target) ** -0.07 everywhere: the paper's exponent, from its own space
    fitted   the same with the exponent that this table has at the target: what a doubling of latency gives
    hard     exponents 0 and -1
    accuracy no latency

Every run's rows are kept; a run that is there already is not made again.

Usage: python benchmarks/rewards.py TABLES OUTPUT [--seeds 10] [--trials 500] [--target-ms 10.7]
TABLES is a folder with nasbench201_cifar10.parquet; the target is the table's median unless given. Another target wants
another output folder.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import altair as alt
import numpy as np
from conditions import conditions, print_conditions, print_table
from numpy.typing import NDArray
from tables import FINAL, NB201, PIXEL3, arguments, complete

from paretonas.compare import Contest, Run, run
from paretonas.report.figure import save_figure

STRATEGIES = ("ppo", "regularized-evolution:population=50,tournament=10")
NAMES = ("soft", "fitted", "hard", "accuracy")
COLORS = ("#2c7fb8", "#1b9e77", "#d95f02", "#6a51a3")
NEAR = 0.1
BIN = 0.1
"""Of the figure, in targets."""
LARGEST = 3.0
"""Latencies beyond so many targets are counted in the last bin."""

Floats = NDArray[np.float64]


def fitted_exponent(accuracy: Floats, latency: Floats, target: float) -> float:
    """The exponent at which a doubling of latency around the target is worth the accuracy that it gives in the table.

    >>> round(fitted_exponent(np.array([0.5, 0.525]), np.array([1.0, 2.0]), 1.5), 4)
    -0.0704
    """
    low, high = target / math.sqrt(2), target * math.sqrt(2)
    best = [float(np.nanmax(accuracy[latency <= bound])) for bound in (low, high)]
    return -math.log2(best[1] / best[0])


def proposed(contest: Contest, runs: Sequence[Run], first: int) -> tuple[Floats, Floats]:
    """Latency over target, and accuracy, of what the runs proposed from their evaluation `first` on."""
    rows = np.concatenate([np.array(one.rows[first:]) for one in runs])
    assert contest.latency is not None
    assert contest.target_ms is not None
    latency, accuracy = (np.array(contest.table.column(name))[rows] for name in (contest.latency, contest.metric))
    return latency / contest.target_ms, accuracy


def line(strategy: str, reward: str, contest: Contest, runs: Sequence[Run]) -> dict[str, Any]:
    """What there is to say of one strategy under one reward."""
    latency, accuracy = proposed(contest, runs, contest.trials // 2)
    low, median, high = np.quantile(latency, [0.25, 0.5, 0.75])
    within = []
    for one in runs:
        ratio, reached = proposed(contest, [one], 0)
        within.append(np.nanmax(reached[ratio <= 1]))
    return {
        "strategy": strategy,
        "reward": reward,
        "seeds": len(runs),
        "median": float(median),
        "quartiles": [float(low), float(high)],
        "near": float(np.mean(abs(latency - 1) <= NEAR)),
        "over": float(np.mean(latency > 1)),
        "median_accuracy": float(np.nanmedian(accuracy)),
        "best_within": float(np.mean(within)),
        "best_within_error": float(np.std(within, ddof=1) / len(within) ** 0.5),
    }


def figure(found: Mapping[tuple[str, str], Floats], everything: Floats, title: str) -> alt.TopLevelMixin:
    """A panel a strategy: shares of the sampled latencies by bin, a line a reward; grey: the whole table."""
    edges = np.arange(0, LARGEST + BIN, BIN)

    def shares(latency: Floats) -> list[dict[str, float]]:
        counts, _ = np.histogram(np.minimum(latency, LARGEST - BIN / 2), edges)
        return [{"latency": e, "share": c / len(latency)} for e, c in zip(edges, [*counts, counts[-1]], strict=True)]

    panels = []
    for strategy in dict.fromkeys(name for name, _ in found):
        rows = [
            {"reward": reward, **cell}
            for (name, reward), latency in found.items()
            if name == strategy
            for cell in shares(latency)
        ]
        x = alt.X("latency:Q", title="latency / target", scale=alt.Scale(domain=[0, LARGEST], nice=False))
        y = alt.Y("share:Q", title="share of the proposals", axis=alt.Axis(format="%"))
        color = alt.Color("reward:N", title=None, sort=list(NAMES), scale=alt.Scale(domain=NAMES, range=COLORS))
        whole = alt.Chart(alt.Data(values=shares(everything)))
        area = whole.mark_area(interpolate="step-after", color="#d9dee3").encode(x=x, y=y)
        steps = alt.Chart(alt.Data(values=rows)).mark_line(interpolate="step-after", strokeWidth=2)
        rule = alt.Chart(alt.Data(values=[{"latency": 1}])).mark_rule(strokeDash=[5, 4], color="#444").encode(x=x)
        panel = alt.layer(area, steps.encode(x=x, y=y, color=color), rule)
        panels.append(panel.properties(width=440, height=260, title=strategy.partition(":")[0]))
    chart = alt.hconcat(*panels).resolve_scale(y="shared").properties(title=title, background="white")
    return chart.configure_legend(orient="bottom", labelFontSize=12).configure_title(fontSize=13)


def main(options: argparse.Namespace) -> None:
    """Make the runs that are missing; write rows, numbers and the figure."""
    about = conditions()
    print_conditions(about)
    options.output.mkdir(parents=True, exist_ok=True)
    file = options.output / "rewards.parquet"
    base = Contest(options.tables / NB201, FINAL, latency=PIXEL3, trials=options.trials)
    accuracy, latency = (np.array(base.table.column(name)) for name in (FINAL, PIXEL3))
    target = options.target_ms or float(np.nanmedian(latency))
    exponent = fitted_exponent(accuracy, latency, target)
    fitted = f"mnasnet:alpha={exponent},beta={exponent}"
    rewards = dict(zip(NAMES, ("soft", fitted, "hard", "power"), strict=True))
    contests = {name: replace(base, target_ms=target, reward=reward) for name, reward in rewards.items()}
    labels = [f"{reward}/{strategy}" for strategy in options.strategies for reward in contests]

    def make(label: str, seed: int) -> Run:
        reward, _, strategy = label.partition("/")
        return replace(run(contests[reward], strategy, seed), strategy=label)

    runs = complete(file, [(label, seed) for label in labels for seed in range(options.seeds)], make)
    own = {
        (strategy, reward): [one for one in runs if one.strategy == f"{reward}/{strategy}"]
        for strategy in options.strategies
        for reward in contests
    }
    lines = [line(*key, contests[key[1]], part) for key, part in own.items()]
    known = {**about, "target_ms": target, "fitted_exponent": exponent, "lines": lines}
    (options.output / "rewards.json").write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    print(f"target {target:.3f} ms, fitted exponent {exponent:.4f}")
    print_lines(lines)
    title = f"NAS-Bench-201, Pixel 3: latencies of proposals {options.trials // 2 + 1} to {options.trials}"
    title += f", {options.seeds} seeds · target {target:.1f} ms · grey: all architectures"
    shown = {key: proposed(contests[key[1]], part, options.trials // 2)[0] for key, part in own.items()}
    save_figure(figure(shown, latency / target, title), options.output / "rewards.png")


def print_lines(lines: Sequence[dict[str, Any]]) -> None:
    """As a table."""
    columns = ("strategy", "reward", "median latency", "quartiles", "within 10 %", "over the target")
    rows = [
        (
            one["strategy"],
            one["reward"],
            f"{one['median']:.2f}",
            "{:.2f} to {:.2f}".format(*one["quartiles"]),
            f"{100 * one['near']:.0f} %",
            f"{100 * one['over']:.0f} %",
            f"{one['median_accuracy']:.2f}",
            f"{one['best_within']:.2f} ± {one['best_within_error']:.2f}",
        )
        for one in lines
    ]
    print_table((*columns, "median accuracy", "best accuracy in target"), rows)


if __name__ == "__main__":
    parser = arguments(__doc__, seeds=10, trials=500)
    parser.add_argument("--target-ms", type=float)
    parser.add_argument("--strategies", nargs="+", default=STRATEGIES)
    main(parser.parse_args())
