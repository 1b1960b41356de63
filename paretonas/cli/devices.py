"""The commands about one device: `paretonas device check`, `paretonas device profile`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from paretonas.cli import console
from paretonas.cli.alone import alone
from paretonas.cli.app import AsJson, Channels, Place, app
from paretonas.cli.ongoing import counting, search_listener
from paretonas.errors import UsageError

device = typer.Typer(no_args_is_help=True, help="Check a device before a search.")
app.add_typer(device, name="device")

Text = Annotated[str, typer.Argument(metavar="DEVICE", help="runtime\\[:options]\\[@transport:address].")]


@device.command()
def check(
    context: typer.Context,
    text: Text,
    rounds: Annotated[int, typer.Option(help="Timings of either of the two networks.", min=3, max=1000)] = 10,
    resolution: Annotated[int, typer.Option(help="Side of their images in pixels.", min=32, max=1024)] = 32,
    as_json: AsJson = False,
) -> None:
    """Connect, time the reference network, and say whether two networks 5 % apart can be told apart."""
    found = alone(checked, text, rounds, resolution, context.obj)
    if as_json:
        console.print_json(found)
        return
    console.out.print(f"{text}:", ", ".join(f"{name} {value}" for name, value in found["facts"].items()))
    console.out.print(f"  the reference network takes {found['reference_ms']:.4g} ms at {resolution} px")
    console.out.print(
        f"  a network's latency scatters by {100 * found['noise']:.2g} % from one timing to the next; the device "
        f"became {100 * abs(found['drift']):.2g} % {'slower' if found['drift'] > 0 else 'faster'} meanwhile"
    )
    console.out.print(
        f"  two networks {100 * found['gap']:.2g} % apart: the faster was timed as faster in "
        f"{100 * found['ordered']:.0f} % of pairs"
    )
    console.out.print(f"  throttled: {found['conditions'].get('throttled', 'unknown')}")
    flagged = ", ".join(f"{name} {count}" for name, count in found["flags"].items())
    console.out.print(f"  flags of {found['timings']} timings: {flagged or 'none'}")
    verdict = "Fit for a search" if found["is_fit"] else "Not fit for a search as it is"
    console.out.print(
        console.styled(verdict, "bold"), f": of pairs 5 % apart {100 * found['told_apart']:.0f} % are ordered right."
    )
    for advice in found["advice"]:
        console.out.print(f"  {advice}")


def checked(text: str, rounds: int, side: int, here: Place) -> dict[str, Any]:
    """Check a device; runs in a process of its own."""
    from paretonas.device import parse_device
    from paretonas.evaluation.checking import check_device

    with counting("timing") as show:
        found = check_device(parse_device(text), here.home / "cache", show, rounds, side)
    return {**asdict(found), "is_fit": found.is_fit, "advice": found.advice}


@device.command()
def profile(
    context: typer.Context,
    text: Text,
    space: Annotated[str, typer.Option(help="Space of the networks, with its options.")] = "mnasnet",
    samples: Annotated[int | None, typer.Option(help="Networks that are measured; 100.", min=10, max=500)] = None,
    table: Annotated[
        Path | None,
        typer.Option("--from", help="Your own measurements instead: CSV or Parquet, latency_ms and the network."),
    ] = None,
    resolution: Annotated[int, typer.Option(help="Side of the images in pixels.", min=8, max=1024)] = 32,
    channels: Channels = 3,
    classes: Annotated[int, typer.Option(help="That the networks tell apart.", min=1)] = 10,
    as_json: AsJson = False,
) -> None:
    """Measure networks of a space and fit a predictor of their latency, for searches with --estimate."""
    from paretonas.evaluation.fitting import LARGEST_ERROR

    if samples is not None and table is not None:
        raise UsageError(
            "A predictor is fitted on networks that are measured, or on a table; give --samples or --from."
        )
    found = alone(profiled, text, space, samples or 100, table, (channels, resolution, classes), context.obj)
    if as_json:
        console.print_json(found)
        return
    of = f"of {space} measured, {found['flagged']} of them flagged" if table is None else f"of {found['table']}"
    console.out.print(f"{text}: {found['samples']} networks {of}.")
    if found["earlier"]:
        console.out.print(f"  The predictor begins from {found['earlier']} that are stored for other devices.")
    console.out.print(
        f"  Each held out once, the predictor errs by {100 * found['error']:.1f} % on average; "
        f"{100 * found['within']:.0f} % are within 5 %."
    )
    tau, macs = f"{found['tau']:.3f}", f"{found['tau_of_macs']:.3f}"
    console.out.print(f"  It ranks them with a Kendall's tau of {tau}; counting MACs alone has {macs}.")
    if found["error"] > LARGEST_ERROR:
        most = f"{100 * LARGEST_ERROR:g}"
        console.out.print(f"A search wants {most} % at most and would measure every candidate: give more --samples.")
        return
    asked = f"--space {space} --device {text} --resolution {resolution} --estimate {found['asked']}"
    console.out.print(f"It is stored; a search of {classes} classes takes it: paretonas search NAME {asked} …")


def profiled(
    text: str, space: str, samples: int, table: Path | None, images: tuple[int, int, int], here: Place
) -> dict[str, Any]:
    """Profile a device by so many measurements, or from a table; runs in a process of its own."""
    from paretonas.device import parse_device
    from paretonas.evaluation.own_table import read_own_table
    from paretonas.evaluation.profiling import ProfileOptions, profile_space, tau_of_macs
    from paretonas.space import Interface, spaces

    interface, built = Interface.of_images(*images), spaces.create(space, {"resolution": images[1]}).build()
    options = ProfileOptions(built, interface, samples, None if table is None else read_own_table(table, built))
    with search_listener(is_json=False) as listener:
        fitting = profile_space(parse_device(text), options, here.new_store(), here.home / "cache", listener)
    return {
        "samples": len(fitting.samples),
        "asked": options.networks,
        "table": fitting.table,
        "earlier": len(fitting.earlier),
        "flagged": sum(sample.flags > 0 for sample in fitting.samples),
        "error": fitting.error,
        "within": fitting.within,
        "tau": fitting.rank,
        "tau_of_macs": tau_of_macs(fitting, interface),
        "latencies_ms": [sample.latency_ms for sample in fitting.samples],
    }
