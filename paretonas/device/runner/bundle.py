"""The runner as one file that Python runs, for a device that has nothing of ours."""

from __future__ import annotations

import hashlib
import io
import zipfile
from functools import cache
from importlib.resources import files
from pathlib import Path, PurePosixPath

from paretonas.device.engine import ENGINES
from paretonas.files import refusals, written_aside

MAIN = "from paretonas.device.runner.__main__ import main\nimport sys\nsys.exit(main(sys.argv[1:]))\n"
EMPTY = ("paretonas/__init__.py", "paretonas/device/__init__.py")
"""Packages whose own `__init__` would import what a device does not have."""
SENT = (
    "errors.py", "quiet.py", "device/timing.py", *(f"device/engine/{name}.py" for name in ("__init__", *ENGINES)),
    *(f"device/runner/{name}.py" for name in ("__init__", "__main__", "app", "energy", "host", "moment")),
    *(f"device/runner/{name}.py" for name in ("wire", "worker")),
    *(f"device/agent/{name}.py" for name in ("__init__", "__main__", "server")),
)  # fmt: skip


@cache
def bundle() -> tuple[str, bytes]:
    """The SHA-256 of the file, and the file: the same bytes wherever they are made."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in [("__main__.py", MAIN), *((name, "") for name in EMPTY), *map(_source, SENT)]:
            dated = zipfile.ZipInfo(name)  # 1980: no file's time is part of it
            archive.writestr(dated, text, zipfile.ZIP_DEFLATED)
    data = buffer.getvalue()
    return hashlib.sha256(data).hexdigest(), data


def written_bundle(folder: Path) -> Path:
    """The file in a folder, under a name of its contents; made if it is missing.

    Raises:
        MachineError: The system refuses.
    """
    digest, data = bundle()
    path = folder / f"runner-{digest}.pyz"
    if not path.exists():
        with refusals(f"{folder} cannot be made"):
            folder.mkdir(parents=True, exist_ok=True)
        with written_aside(path) as draft:
            draft.write_bytes(data)
    return path


def _source(name: str) -> tuple[str, str]:
    return f"paretonas/{name}", files("paretonas").joinpath(*PurePosixPath(name).parts).read_text(encoding="utf-8")
