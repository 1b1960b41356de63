"""The ablations of the MnasNet paper: a search for each chosen configuration of benchmarks/ablations/, compared.

Every search has the same budget and, per seed, the same images and initial weights. All share one home, so that an
architecture that two of them propose is timed and trained once. What was begun is resumed; a larger --trials goes on.

    reward, own   best reward under the search's own objective
    reward, soft  best of accuracy * (latency / target) ** -0.07, which compares searches of different objectives
    accuracy      best at or below the target
    latency       median over its target, and the share of trials within 10 % of it
    hypervolume   of the front of (accuracy, -latency / target) over (0, -2); 2 cannot be reached

The target is one for all: --target-ms, or what a typical network takes at the configurations' width.

Usage: python benchmarks/ablations.py OUTPUT_DIR [CONFIGURATION …] [--data cifar10] [--trials 40] [--seeds 0 1 …]
"""

from __future__ import annotations

import argparse
import json
import statistics
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import altair as alt
from conditions import conditions, print_conditions, print_table, write_rows

from paretonas import Search, Store, new_search, open_search
from paretonas.data.listing import DIGITS
from paretonas.errors import UsageError
from paretonas.loop.listener import Listener
from paretonas.objective import hypervolume, mnasnet_reward, rewards
from paretonas.report.table import trial_row
from paretonas.search.config import SearchConfig
from paretonas.search.sections import config_from_json, config_to_json
from paretonas.trial import State, Trial

FOLDER = Path(__file__).parent / "ablations"
NAMES = ("soft", "hard", "accuracy", "flat", "cell")
NEAR = 0.1
WORST = (0.0, -2.0)
"""Corner of the hypervolume: accuracy, and minus latency over target."""
FREE = ("budget", "executor", "recorded")
"""Sections that may differ when a search goes on: the budget grows, and a search tunes its executor."""


@dataclass(frozen=True)
class Row:
    """What became of one search; None where no trial qualifies."""

    configuration: str
    seed: int
    complete: int
    own_reward: float | None
    soft_reward: float | None
    accuracy_in_target: float | None
    median_latency: float | None
    near_target: float | None
    hypervolume: float


def load(name: str) -> SearchConfig:
    """A configuration of benchmarks/ablations.

    Raises:
        UsageError: There is none of that name, or it cannot be.
    """
    path = FOLDER / f"{name}.toml"
    if not path.exists():
        raise UsageError(f"An ablation is one of {', '.join(NAMES)}, but got {name!r}.")
    return config_from_json(tomllib.loads(path.read_text(encoding="utf-8")))


def configured(name: str, seed: int, options: argparse.Namespace) -> SearchConfig:
    """The configuration with what the command line says about size, data and target."""
    sections = config_to_json(load(name))
    given: dict[str, dict[str, Any]] = {
        "task": {"data": options.data, "train_images": options.train_images, "val_images": options.val_images},
        "space": {"width": options.width},
        "recipe": {"epochs": options.epochs},
        "budget": {"trials": options.trials},
    }
    for section, values in given.items():
        sections[section] |= {key: value for key, value in values.items() if value is not None}
    if sections["task"]["data"] != DIGITS:
        sections["task"]["data"] = str(Path(sections["task"]["data"]).expanduser().resolve())
    whole = {"strategy": options.strategy, "executor": options.executor}
    sections |= {key: value for key, value in whole.items() if value is not None}
    config = config_from_json({**sections, "name": f"{sections['name']}-{seed}", "seed": seed})
    return aimed(config, options.target_ms)


def aimed(config: SearchConfig, target_ms: float | None) -> SearchConfig:
    """The configuration with a target, if its reward has one."""
    if target_ms is None or not rewards.create(config.reward).is_aimed:
        return config
    return replace(config, devices=tuple(replace(device, target_ms=target_ms) for device in config.devices))


def run(config: SearchConfig, store: Store, home: Path) -> Search:
    """Run the search, or go on with it.

    Raises:
        UsageError: It was begun with other settings.
    """
    listener = Listener(note=print, progress=lambda now: _print_trial(now.trial, now.ended, now.budget))
    if config.name in {summary.name for summary in store.searches()}:
        _check_settings(config, store.config(config.name))
        begun = config_from_json(store.config(config.name))
        change = replace(begun, budget=replace(begun.budget, trials=config.budget.trials))
        search = open_search(config.name, store, home, listener, change=change)
    else:
        search = new_search(config, store, home, listener)
    search.run()
    return search


def _check_settings(config: SearchConfig, stored: Mapping[str, Any]) -> None:
    """Compare what was asked with what a search was begun with, which has what was not asked written out too."""
    for section, asked in config_to_json(config).items():
        begun = stored.get(section)
        pairs = zip(asked, begun or [], strict=True) if section == "device" else [(asked, begun)]
        if section not in FREE and not all(_agree(*pair) for pair in pairs):
            raise UsageError(
                f"A search goes on with the settings that it began with, but {config.name} has {section}={begun!r}, "
                f"not {asked!r}. Choose another output folder."
            )


def _agree(asked: Any, begun: Any) -> bool:
    if not isinstance(asked, Mapping) or not isinstance(begun, Mapping):
        return bool(asked == begun)
    return all(_agree(value, begun.get(key)) for key, value in asked.items())


def _print_trial(trial: Trial, ended: int, budget: int | None) -> None:
    reward = "" if trial.reward is None else f"reward {trial.reward:.4f}"
    print(f"  {ended} of {budget}  {trial.state.value:<8} {reward}", flush=True)


def compare(configuration: str, seed: int, trials: Sequence[Trial], target_ms: float) -> Row:
    """The numbers of one search; only its complete trials count."""
    complete = [trial for trial in trials if trial.state is State.COMPLETE]
    points = [(t.metrics["accuracy"], t.metrics["latency_ms"] / target_ms) for t in complete]
    latencies = [latency for _, latency in points]
    return Row(
        configuration,
        seed,
        len(complete),
        max((t.usable_reward for t in complete if t.usable_reward is not None), default=None),
        max((mnasnet_reward(accuracy, latency, 1.0) for accuracy, latency in points), default=None),
        max((accuracy for accuracy, latency in points if latency <= 1), default=None),
        statistics.median(latencies) if latencies else None,
        statistics.fmean(abs(latency - 1) <= NEAR for latency in latencies) if latencies else None,
        hypervolume([(accuracy, -latency) for accuracy, latency in points], WORST),
    )


def print_rows(rows: Sequence[Row]) -> None:
    """The table."""

    def cell(value: float | None, factor: float = 1.0, digits: int = 4, unit: str = "") -> str | None:
        return None if value is None else f"{factor * value:.{digits}f}{unit}"

    columns = ("search", "seed", "complete", "reward, own", "reward, soft", "accuracy in target", "median latency")
    print_table(
        (*columns, "within 10 %", "hypervolume"),
        [
            (
                row.configuration,
                row.seed,
                row.complete,
                cell(row.own_reward),
                cell(row.soft_reward),
                cell(row.accuracy_in_target, 100, 2, " %"),
                cell(row.median_latency, 1, 3),
                cell(row.near_target, 100, 0, " %"),
                cell(row.hypervolume),
            )
            for row in rows
        ],
    )


def figure(found: Mapping[tuple[str, int], Sequence[Trial]], target_ms: float) -> alt.LayerChart | alt.FacetChart:
    """Latencies of all complete trials over the target, a line of ticks and a box a configuration; later is darker."""
    values = [
        {
            "configuration": name,
            "latency": trial.metrics["latency_ms"] / target_ms,
            "order": trial.told,
        }
        for (name, _), trials in found.items()
        for trial in trials
        if trial.state is State.COMPLETE
    ]
    names = list(dict.fromkeys(name for name, _ in found))
    x = alt.X("latency:Q", title="latency / target", scale=alt.Scale(type="log", nice=False))
    y = alt.Y("configuration:N", sort=names, title=None)
    base = alt.Chart(alt.Data(values=values))
    box = base.mark_boxplot(color="#dde3e8", extent="min-max", size=24).encode(x=x, y=y)
    shade = alt.Color("order:Q", title="trial", scale=alt.Scale(range=["#9db2c4", "#2c3e50"]))
    ticks = base.mark_tick(thickness=1.5, size=16).encode(x=x, y=y, color=shade)
    rule = alt.Chart(alt.Data(values=[{"target": 1}])).mark_rule(strokeDash=[5, 4], color="#c0392b")
    layers = alt.layer(box, ticks, rule.encode(x="target:Q"))
    return layers.properties(width=560, height=44 * len(names))


def main(options: argparse.Namespace) -> None:
    """Run, print, and write `ablations.parquet`, `ablations.json` and `ablations.png`."""
    output: Path = options.output
    output.mkdir(parents=True, exist_ok=True)
    about = conditions()
    print_conditions(about)
    home = output / "home"
    store = Store(home / "store.db")
    found: dict[tuple[str, int], list[Trial]] = {}
    target_ms: float | None = options.target_ms
    for seed in options.seeds:
        for name in options.configurations or NAMES:
            print(f"{name}, seed {seed}", flush=True)
            search = run(aimed(configured(name, seed, options), target_ms), store, home)
            if target_ms is None:
                usual = search.config.devices[0].target_ms
                target_ms = usual or search.evaluator.usual_ms("latency_ms", Listener(note=print))
            found[name, seed] = store.trials(search.config.name)
    assert target_ms is not None
    rows = [compare(name, seed, trials, target_ms) for (name, seed), trials in found.items()]
    print(f"target: {target_ms:.4g} ms")
    print_rows(rows)
    raw = [
        {"configuration": name, "search_seed": seed, "target_ms": target_ms, **trial_row(trial)}
        for (name, seed), trials in found.items()
        for trial in trials
    ]
    columns = dict.fromkeys(key for row in raw for key in row)
    write_rows([{key: row.get(key) for key in columns} for row in raw], output / "ablations.parquet")
    summary = {**about, "target_ms": target_ms, "searches": [vars(row) for row in rows]}
    (output / "ablations.json").write_text(json.dumps(summary, indent=1))
    figure(found, target_ms).save(str(output / "ablations.png"), scale_factor=2.0)


def parser() -> argparse.ArgumentParser:
    """The command line; what is not given stays as the configurations have it."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("output", type=Path)
    made.add_argument("configurations", nargs="*", metavar="CONFIGURATION", help=f"{', '.join(NAMES)}; all by default")
    made.add_argument("--data")
    made.add_argument("--trials", type=int)
    made.add_argument("--train-images", type=int)
    made.add_argument("--val-images", type=int)
    made.add_argument("--epochs", type=float)
    made.add_argument("--width", type=float)
    made.add_argument("--strategy")
    made.add_argument("--executor")
    made.add_argument("--target-ms", type=float)
    made.add_argument("--seeds", type=int, nargs="+", default=[0])
    return made


if __name__ == "__main__":
    main(parser().parse_args())
