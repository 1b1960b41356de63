"""A trained finalist written in another format, for a detector with what makes boxes of its outputs inside."""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

from paretonas.errors import UsageError
from paretonas.export import Format, formats
from paretonas.export.boxes import boxes_interface
from paretonas.export.checkpoint import Checkpoint, load_checkpoint
from paretonas.files import write_text, written_aside
from paretonas.search.boxes import anchors_of, check_boxes, decoding_of, suppression_of
from paretonas.search.circumstances import check_home, held
from paretonas.search.metadata import finalist_metadata
from paretonas.store import Store


def export_trial(store: Store, name: str, home: Path, number: int, format: str, path: Path | None = None) -> Path:
    """Write a finalist in another format, and beside it, in a file of its name with `.json` after it, what it is.

    Args:
        store: Where the search is recorded.
        name: Of the search.
        home: As when it was made.
        number: Of the trial.
        format: A registered export format, with its options.
        path: Where to; beside the weights if None, with `-boxes` in its name if it ends in boxes.

    Raises:
        UsageError: It has not been trained by `train --final` yet, the search has another home, or a file of what is no
            detector is to end in boxes.
        StoreError: No such search, or another process holds it, into whose folder the file would go.
        ExportError: It could not be exported, or its boxes are not those of the network.
    """
    check_home(name, store, home)
    checkpoint = home / name / f"trial-{number}.safetensors"
    if not checkpoint.exists():
        raise UsageError(
            f"Only a trained network is exported, but trial {number} has no weights yet: "
            f"`paretonas train {name} --trial {number} --final` first."
        )
    chosen = formats.create(format)
    path = path or checkpoint.with_name(f"{checkpoint.stem}{'-boxes' if chosen.boxes else ''}{chosen.suffix}")
    if not path.parent.exists():
        raise UsageError(f"A file is written to a folder that exists, but there is no {path.parent}.")
    is_beside = path.parent.resolve() == checkpoint.parent.resolve()
    with held(name, store, home) if is_beside else nullcontext():
        if path.resolve() != checkpoint.resolve():
            trained = load_checkpoint(checkpoint)
            metadata = finalist_metadata(trained, name, number)
            if chosen.boxes:
                metadata = _write_with_boxes(chosen, trained, path, metadata)
            else:
                chosen.write(trained.model, trained.spec, trained.interface, path, metadata)
            if path.with_suffix("").resolve() != checkpoint.with_suffix("").resolve():  # where trial-N.json is
                write_text(path.with_name(f"{path.name}.json"), json.dumps(metadata, indent=1))
    return path


def _write_with_boxes(chosen: Format, trained: Checkpoint, path: Path, metadata: dict[str, Any]) -> dict[str, Any]:
    """Write what ends in boxes, unless these are not the network's; what it says of itself."""
    anchors = anchors_of(metadata, trained.interface)
    decoding = decoding_of(anchors)
    metadata = {
        **metadata,
        "suppression": suppression_of(decoding),
        "interface": asdict(boxes_interface(trained.interface)),
    }
    with written_aside(path) as draft:
        chosen.write(trained.model, trained.spec, trained.interface, draft, metadata, decoding)
        check_boxes(draft, trained, anchors)
    return metadata
