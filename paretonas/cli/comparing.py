"""The command that compares strategies on a table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from paretonas.cli import console, ongoing
from paretonas.cli.app import AsJson, app
from paretonas.errors import UsageError
from paretonas.report.aims import USUAL_QUALITY

SHOWN = (20, 50, 100, 150, 200, 500, 1000)
"""Numbers of evaluations that the table has columns for."""


@app.command()
def compare(
    table: Annotated[Path, typer.Option(help="Parquet file of architectures and what was measured of them.")],
    metric: Annotated[str, typer.Option(help="Column of the quality that the strategies see.")],
    strategies: Annotated[
        str, typer.Option(help="With commas between them, options and all: random,ppo:batch=10,lr=0.005,surrogate")
    ] = "random,regularized-evolution,surrogate",
    judge: Annotated[
        str | None, typer.Option(help="Column that tells how good what they find is. Default: metric.")
    ] = None,
    latency: Annotated[str | None, typer.Option(help="Column of latencies in ms: fronts are compared too.")] = None,
    quality: Annotated[str, typer.Option(help="What that column is: accuracy, perplexity, …")] = USUAL_QUALITY,
    reward: Annotated[
        str | None,
        typer.Option(help="With a latency, what strategies of one goal are told: soft, hard, power, … By the quality."),
    ] = None,
    target_ms: Annotated[
        float | None, typer.Option(help="Latency that the reward aims at. Default: the median.")
    ] = None,
    limit_ms: Annotated[
        float | None,
        typer.Option(help="Largest latency: what is over it is not evaluated, and neither counted nor sought."),
    ] = None,
    trials: Annotated[int, typer.Option(help="Evaluations of every run.", min=1)] = 500,
    seeds: Annotated[int, typer.Option(help="Runs of every strategy.", min=1)] = 20,
    batch: Annotated[int, typer.Option(help="Proposals asked for at once.", min=1)] = 1,
    decisions: Annotated[
        str | None, typer.Option(help="Columns of the architecture, with commas. Default: ops or arch.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Write a figure: .png, .svg or .html.")] = None,
    executor: Annotated[
        str, typer.Option(help="Where the runs are made: `process:workers=2`, `serial`, `ray`.")
    ] = "process",
    as_json: AsJson = False,
) -> None:
    """Compare strategies on a table of networks that somebody trained: how many evaluations does each need?

    Example: paretonas compare --table nasbench201.parquet --metric valid_acc --judge test_acc --seeds 20
    """
    from paretonas.compare import Contest, summary
    from paretonas.compare import compare as run_all
    from paretonas.executor import executors

    columns = tuple(part.strip() for part in decisions.split(",")) if decisions else ()
    contest = Contest(table, metric, judge, latency, quality, reward, target_ms, limit_ms, trials, batch, columns)
    if plot is not None:
        from paretonas.report.figure import check_figure_path

        check_figure_path(plot)
    with ongoing.counting("runs") as progress, executors.create(executor).start() as started:
        runs = run_all(contest, split_strategies(strategies), seeds, started, progress)
    found = summary(contest, runs)
    if plot is not None:
        from paretonas.report.comparison import comparison_figure
        from paretonas.report.figure import save_figure

        save_figure(comparison_figure(found), plot)
        console.err.print(f"Wrote {plot}.")
    if as_json:
        console.print_json(found)
    else:
        _print_comparison(found)


def split_strategies(text: str) -> list[str]:
    """Strategies from a list with commas, in which options have commas too.

    >>> split_strategies("random,ppo:batch=10,lr=0.005,surrogate")
    ['random', 'ppo:batch=10,lr=0.005', 'surrogate']
    """
    found: list[str] = []
    for part in text.split(","):
        name, equals, _ = part.partition("=")
        if equals and ":" not in name:
            if not found:
                raise UsageError(f"An option stands behind its strategy, as in ppo:batch=10, but got {text!r}.")
            found[-1] += f",{part.strip()}"
        else:
            found.append(part.strip())
    return found


def _print_comparison(found: dict[str, Any]) -> None:
    counts = [n for n in SHOWN if n < found["trials"]] + [found["trials"]]
    head = ["strategy", *(f"after {n}" for n in counts), "regret", "repeated", "an ask"]
    rows = []
    for name, one in found["strategies"].items():
        cells = [_with_error(one, n, 3) for n in counts]
        asked = f"{1e3 * one['ask_seconds']['mean']:.1f} ms"
        rows.append([name, *cells, f"{one['regret'][-1]:.3f}", f"{100 * one['repeated']:.0f} %", asked])
    judged = found["judge"] if found["judge"] == found["metric"] else f"{found['judge']} of the best {found['metric']}"
    console.table(
        head,
        rows,
        f"{found['table']}: {judged} so far, mean of the seeds ± standard error; the best is {found['best']:.3f}",
    )
    if found["limit_ms"] is not None:
        console.out.print(
            f"Within {found['limit_ms']:g} ms, as {100 * found['within']:.2g} % of the table is; the rest costs and "
            "counts nothing."
        )
    for name, one in found["strategies"].items():
        if one["fewest"] < found["trials"]:
            console.out.print(f"{name}: of {found['trials']} evaluations a run made {one['fewest']} before it ended.")
    if found["latency"]:
        rows = [
            [name, *(_with_error(one["hypervolume"], n, 4) for n in counts)]
            for name, one in found["strategies"].items()
        ]
        console.out.print()
        console.table(
            head[: len(counts) + 1],
            rows,
            f"Share of the front's hypervolume, {found['quality']} and {found['latency']}",
        )


def _with_error(spread: dict[str, Any], n: int, digits: int) -> str:
    mean, error = spread["mean"][n - 1], spread["standard_error"][n - 1]
    if mean is None:
        return "none"
    return f"{mean:.{digits}f}" + ("" if error is None else f" ± {error:.{digits}f}")
