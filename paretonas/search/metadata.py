"""What the files of a finalist say of themselves: how they are used, and where they come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from paretonas.export.checkpoint import Checkpoint
from paretonas.space import spec_hash, spec_to_json
from paretonas.space.transform import Transform


def finalist_metadata(
    trained: Checkpoint, search: str, trial: int, transform: Transform | None = None
) -> dict[str, Any]:
    """The task's metadata, and the network's origin; JSON data.

    Args:
        trained: As it was left by its training.
        search: Name of the search.
        trial: Its number there.
        transform: What was changed of the architecture; None: nothing.
    """
    job: Mapping[str, Any] = trained.info.get("job", {})
    return {
        **{name: value for name, value in trained.info.items() if name not in ("metrics", "job")},
        "interface": asdict(trained.interface),
        "search": search,
        "trial": trial,
        "transform": asdict(transform or Transform()),
        "spec_hash": spec_hash(trained.spec),
        "spec": spec_to_json(trained.spec),
        **{name: job.get(name) for name in ("recipe", "seed", "is_final")},
        "paretonas": version("paretonas"),
    }
