"""Command on metrics of untrained networks: proxies."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from paretonas.cli import console, ongoing
from paretonas.cli.app import AsJson, Name, Trust, app
from paretonas.errors import UsageError
from paretonas.objective import metric
from paretonas.trial import State


@app.command()
def proxies(
    context: typer.Context,
    name: Name,
    trials: Annotated[int | None, typer.Option(min=1, help="Look at so many trials, the first; all.")] = None,
    _trust: Trust = False,
    as_json: AsJson = False,
) -> None:
    """Show whether metrics of untrained networks foretell the quality that a search found.

    Example: paretonas proxies cats
    """
    from paretonas.evaluation.trained import UNTRAINED
    from paretonas.report.correlation import FEWEST, rank_correlation
    from paretonas.search.search import open_search

    here = context.obj
    search = open_search(name, here.store(), here.home)
    evaluator, quality = search.trained_evaluator(), search.objective.quality
    names = (*UNTRAINED, "params", "macs")
    complete = {t.spec_hash: t for t in search.store.trials(name) if t.state is State.COMPLETE}
    chosen = list(complete.values())[:trials]
    if len(chosen) < FEWEST:
        raise UsageError(f"It takes {FEWEST} different complete networks to see anything, but there are {len(chosen)}.")
    rows = []
    with ongoing.counting("untrained networks") as progress:
        for i, trial in enumerate(chosen, start=1):
            metrics = {**trial.metrics, **evaluator.untrained(search.space.decode(trial.architecture))}
            rows.append({"trial": trial.number, **{name: metrics[name] for name in (quality, *names)}})
            progress(i, len(chosen))
    better = [metric(quality).at_best(row[quality]) for row in rows]
    correlations = {m: rank_correlation([row[m] for row in rows], better) for m in names}
    if as_json:
        told = {m: {**asdict(c), "verdict": c.verdict} for m, c in correlations.items()}
        console.print_json({"search": name, "correlations": told, "networks": rows})
        return
    console.table(
        ["metric", "Spearman", "95 % interval", "Kendall", f"with {metric(quality).title}"],
        [
            [m, f"{c.spearman:+.2f}", f"{c.low:+.2f} to {c.high:+.2f}", f"{c.kendall:+.2f}", c.verdict]
            for m, c in correlations.items()
        ],
        f"{len(rows)} networks of {name}: rank correlation with the {metric(quality).title} of the search",
    )
