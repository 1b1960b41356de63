"""The command that fits the widths of a network to a budget: morph."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from paretonas.cli import ongoing
from paretonas.cli.app import AsJson, Place, Trust, app
from paretonas.cli.reading import read_targets, with_devices
from paretonas.cli.searching import run_search
from paretonas.cli.settings import set_data, set_plugins
from paretonas.cli.stopping import say_when_stopped
from paretonas.errors import UsageError
from paretonas.space.trust import remember
from paretonas.space.trust import trust as trust_models


@app.command()
def morph(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Name of the morph, which is a search like others.")],
    network: Annotated[
        str | None,
        typer.Argument(help="A name of the zoo, timm:NAME, torchvision:NAME, module:factory, or a spec's .json file."),
    ] = None,
    data: Annotated[str | None, typer.Option(help="What it learns; see `search`.")] = None,
    search: Annotated[
        str | None, typer.Option(help="Instead of a network: a search, of which --trial is taken.")
    ] = None,
    trial: Annotated[int | None, typer.Option(help="Its number.")] = None,
    width: Annotated[float, typer.Option(help="Multiplier of the network's filters.")] = 1.0,
    target_macs: Annotated[float | None, typer.Option(help="Budget: multiply-accumulates, such as 28e6.")] = None,
    target_params: Annotated[float | None, typer.Option(help="Budget: parameters.")] = None,
    target_ms: Annotated[
        list[str] | None, typer.Option(help="Budget: latency in ms on the device; of several NAME=MS.")
    ] = None,
    resource: Annotated[
        str | None,
        typer.Option(help="What channels are weighed by: macs, params, activations, latency, roofline:machine=v100."),
    ] = None,
    steps: Annotated[int, typer.Option(help="How often it learns which channels it can spare.")] = 1,
    strength: Annotated[
        float | None, typer.Option(help="Of the regularizer, times the network's first cost; found if not given.")
    ] = None,
    threshold: Annotated[float, typer.Option(help="A channel of this strength or less is dead.")] = 0.01,
    grouping: Annotated[str, typer.Option(help="Layers of one width: `max` of their strengths, or `l2`.")] = "max",
    multiple: Annotated[
        int,
        typer.Option(help="Widths are multiples of this where they were; 1: any, as in the paper."),
    ] = 8,
    keep: Annotated[
        list[str] | None, typer.Option(help="Layers whose widths stay: a regular expression; may be repeated.")
    ] = None,
    only: Annotated[list[str] | None, typer.Option(help="Layers whose widths change, no others; likewise.")] = None,
    morph_recipe: Annotated[str | None, typer.Option(help="How it learns that: `morph:epochs=8`.")] = None,
    recipe: Annotated[str | None, typer.Option(help="How the networks are trained: `search:epochs=4`.")] = None,
    device: Annotated[list[str] | None, typer.Option(help="Where latency is measured; see `search`.")] = None,
    task: Annotated[str | None, typer.Option(help="`classification`, `detection`, …")] = None,
    resolution: Annotated[int | None, typer.Option(help="Side of the images in pixels; inferred.")] = None,
    train_images: Annotated[int | None, typer.Option(help="Train on a class-balanced part of this size.")] = None,
    val_images: Annotated[int | None, typer.Option(help="Images held out to score candidates.")] = None,
    skip_corrupt: Annotated[bool, typer.Option("--skip-corrupt", help="Leave corrupt images out.")] = False,
    weights: Annotated[
        Path | None, typer.Option(help="A .safetensors file of weights that the network begins to learn with.")
    ] = None,
    executor: Annotated[
        str | None, typer.Option(help="Where training runs: `process:workers=2`, `serial`, `ray`.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the trainings.")] = 0,
    torch_device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or mps (only cpu was tried).")] = None,
    trust: Trust = False,
    as_json: AsJson = False,
) -> None:
    """Fit the widths of a network's layers to a budget: the same architecture, better at equal cost, or cheaper.

    Example: paretonas morph slim mobilenet-v2 --data photos/ --target-macs 100e6
    """
    here: Place = context.obj
    text = _network(network, (search, trial), here)
    settings: dict[str, Any] = {"name": name, "seed": seed}
    plain = {
        "executor": executor, "torch_device": torch_device, "weights": weights and str(weights.expanduser().resolve()),
    }  # fmt: skip
    settings |= {key: value for key, value in plain.items() if value is not None}
    of_images = {
        "resolution": resolution, "train_images": train_images, "val_images": val_images,
        "skip_corrupt": skip_corrupt or None,
    }  # fmt: skip
    set_data(settings, data, task, of_images, {})
    plugins = {"space": "widths", "strategy": "enumeration", "recipe": recipe, "fidelity": None, "screen": None}
    set_plugins(settings, plugins, {"network": text, "width": width}, {}, {}, {"trials": steps + 1})
    with_devices(settings, device or (), read_targets(target_ms or ()), {})
    of_morph = {
        "budget": _budget(target_macs, target_params, read_targets(target_ms or ())), "resource": resource,
        "steps": steps, "recipe": morph_recipe, "strength": strength, "threshold": threshold, "grouping": grouping,
        "multiple": multiple,
        "keep": keep, "only": only,
    }  # fmt: skip
    settings["morph"] = {key: value for key, value in of_morph.items() if value not in (None, "")}
    say_when_stopped("Stopped; nothing of the morph is stored yet. Begin it anew with the same command.")
    from paretonas.search.rehearsal import own_models
    from paretonas.search.search import new_search
    from paretonas.search.sections import config_from_json

    configured = config_from_json(settings)
    trust_models(*own_models(configured))
    with ongoing.search_listener(as_json) as listener:
        begun = new_search(configured, here.new_store(), here.home, listener)
        remember(here.home)
        run_search(begun, as_json, listener)


def _network(network: str | None, of_search: tuple[str | None, int | None], here: Place) -> str:
    """The network as the space of widths reads it."""
    from paretonas.report.architectures import spec_of
    from paretonas.search.widths import names_code
    from paretonas.space import spec_to_json

    search, trial = of_search
    if (network is None) == (search is None) or (search is None) != (trial is None):
        raise UsageError(
            "A morph is of a network, or of a trial: paretonas morph NAME NETWORK, or --search S --trial N."
        )
    if network is not None:
        return trust_models(network)[0] if names_code(network) else network
    assert search is not None
    store = here.store()
    config = store.config(search)
    chosen = next((one for one in store.trials(search) if one.number == trial), None)
    if chosen is None:
        raise UsageError(f"A trial is one of the search {search!r}, but it has none with the number {trial}.")
    spec = spec_of(chosen, config)
    if spec is None:
        raise UsageError(f"A network is built of a trial, but the space of {search!r} is not here, or another one now.")
    return json.dumps(spec_to_json(spec))


def _budget(macs: float | None, params: float | None, targets: dict[str, float]) -> str:
    given = [f"macs<={macs!r}"] if macs is not None else []
    given += [f"params<={params!r}"] if params is not None else []
    given += [f"latency_ms{f'.{name}' if name else ''}<={ms!r}" for name, ms in targets.items()]
    if len(given) > 1:
        raise UsageError(f"A morph has one budget, but got {' and '.join(given)}.")
    return given[0] if given else ""
