"""Compound scaling of what was found: the command `scale`, and the options of `train` that follow from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from paretonas.cli import console, ongoing
from paretonas.cli.app import AsJson, Name, Trust, app
from paretonas.cli.reading import moved_data
from paretonas.errors import UsageError
from paretonas.objective.metric import MACS, PARAMS
from paretonas.space import Interface
from paretonas.space.scaling import Scaling, grid
from paretonas.space.transform import Transform

if TYPE_CHECKING:
    from paretonas.search.search import Search

FACTORS = "1.2,1.1,1.15"
"""EfficientNet's alpha, beta and gamma."""


def read_scaled(transform: Transform, phi: float, factors: str, search: Search) -> Transform:
    """The transform that a scale stands for.

    Args:
        transform: What else is to be changed, which is to be nothing.
        phi: How far.
        factors: alpha, beta and gamma with commas between them.
        search: Whose images are scaled.
    """
    if transform != Transform():
        raise UsageError(f"A scale is the whole of what is changed, but got --scale {phi:g} and {transform}.")
    try:
        depth, width, resolution = map(float, factors.split(","))
    except ValueError:
        raise UsageError(f"Factors are written ALPHA,BETA,GAMMA, as in {FACTORS}, but got {factors!r}.") from None
    return Scaling(depth, width, resolution).transform(phi, side_of(search))


def side_of(search: Search) -> int:
    """Side in pixels of the images that a search learns.

    Raises:
        UsageError: It learns something else.
    """
    shape = search.trained_evaluator().task.interface.image_shape
    if shape is None:
        raise UsageError(f"A network of images is scaled, but {search.config.name} learns something else.")
    return shape[-1]


@app.command()
def scale(
    context: typer.Context,
    name: Name,
    trial: Annotated[int, typer.Option(help="Which trial.")],
    phi: Annotated[float, typer.Option("--scale", help="EfficientNet's phi.")] = 1.0,
    _trust: Trust = False,
    as_json: AsJson = False,
) -> None:
    """List EfficientNet's grid for a trial: all depths, widths and resolutions that about double its MACs, with costs.

    Train those that you choose with `train --scale 1 --scale-by ALPHA,BETA,GAMMA`; by the best of them, scale further.
    """
    from paretonas.network.cost import spec_cost
    from paretonas.search.choice import numbered
    from paretonas.search.search import open_search

    store = context.obj.store()
    with ongoing.search_listener(as_json) as listener, moved_data():
        search = open_search(name, store, context.obj.home, listener)
    spec = search.space.decode(numbered(store.trials(name), [trial])[0].architecture)
    side, interface = side_of(search), search.trained_evaluator().task.interface
    before, rows = spec_cost(spec, interface).macs, []
    for scaling in grid():
        transform = scaling.transform(phi, side)
        images = Interface.of_images(interface.channels, transform.resolution or side, interface.classes)
        cost = spec_cost(transform.apply(spec), images)
        factors = dict(zip(("alpha", "beta", "gamma"), vars(scaling).values(), strict=True))
        changed = {"depth": transform.depth, "width": transform.width, "resolution": transform.resolution}
        rows.append({**factors, **changed, "params": cost.params, "macs": cost.macs, "growth": cost.macs / before})
    if as_json:
        console.print_json(rows)
        return
    texts = {"params": PARAMS.text, "macs": MACS.text, "growth": "{:.2f}".format}
    shown = [[texts.get(key, "{:g}".format)(value) for key, value in row.items()] for row in rows]
    console.table(["alpha", "beta", "gamma", "depth", "width", "pixels", "params", "MACs", "x MACs"], shown)
