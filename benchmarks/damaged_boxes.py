"""What the command line says of damaged data with boxes, and that it opens what annotation tools export.

Copies of a data set in COCO's, Pascal VOC's and YOLO's format are damaged, each in one way, and searched with and
without `--skip-corrupt`: the command line as users have it, each in a process of its own, but for a limit that no
network keeps, so that none is timed. Of what is searched the images and boxes are counted; what is not there any more
has to be what the damage takes.

Usage: python benchmarks/damaged_boxes.py COCO OUTPUT [--only WORDS]
       python benchmarks/damaged_boxes.py show OUTPUT
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from box_copies import Pictures, Tree, read_pictures, write_tree
from box_damages import Loss, damages
from box_exports import EXPORTS, everything
from conditions import conditions, print_conditions, print_table, write_rows
from timm import optim

from paretonas import cli
from paretonas.evaluation import latencies
from paretonas.search import search as search_module
from paretonas.task import detection

SIZES, SIDE = (8, 3, 3), 160
"""Images of training, validation and test, and their longer side."""
SEARCH = (
    "--task", "detection:resolution=64", "--space", "ssdlite:width=0.25,last_filters=32", "--trials", "1",
    "--recipe", "detection-search:epochs=0.1,batch_size=2,layout=contiguous,precision=float32",
    "--strategy", "random", "--target-ms", "5", "--limit", "params<=1", "--executor", "serial",
    "--torch-device", "cpu",
)  # fmt: skip
COUNTS = re.compile(r"([\d,]+) training, ([\d,]+) validation, ([\d,]+) test images?, .*?([\d,]+) box(?:es)?")
SHOWN = 150
"""Characters of what is said, in the table."""

LOADED = (optim, search_module, detection)
"""Once, and not in each process."""

for protocol in (latencies.QUICK, latencies.RECORD):
    object.__setattr__(protocol, "attempts", 1)


def main() -> None:
    """Run all, or show what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="a folder with train.json and images.zip, or: show")
    parser.add_argument("output", type=Path)
    parser.add_argument("--only", default="", help="words that the name of a copy has")
    given = parser.parse_args()
    place = given.output / "copies.parquet"
    if given.data != "show":
        given.output.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            found = [row for row in run_all(Path(given.data), Path(folder), given.only)]
        write_rows(found, place)
        print_conditions(conditions())
    show(pq.read_table(place).to_pylist())


def run_all(source: Path, folder: Path, only: str) -> Iterator[dict[str, Any]]:
    """A row for each copy."""
    data = read_pictures(source, SIZES, SIDE)
    total = sum(map(len, data.splits.values())), sum(len(one.boxes) for part in data.splits.values() for one in part)
    for number, (kind, what, tree, loss) in enumerate(copies(data)):
        if only not in f"{kind} {what}":
            continue
        place = folder / f"{number:02d}"
        write_tree(tree, place)
        plain = search(place, folder)
        skipping = plain if kind == "export" else search(place, folder, "--skip-corrupt")
        row = {"form": kind, "what": what, "lost_images": loss.images, "lost_boxes": loss.boxes}
        row |= {f"plain_{name}": value for name, value in plain.items()}
        row |= {f"skipping_{name}": value for name, value in skipping.items()}
        yield row | {"problem": problem(plain, skipping, total, loss)}
        print(f"{kind}: {what}: {plain['code']} {skipping['code']}", file=sys.stderr, flush=True)


def copies(data: Pictures) -> Iterator[tuple[str, str, Tree, Loss]]:
    """Exports that are sound, then damaged copies."""
    for what, form in EXPORTS.items():
        tree = form(data)
        files = " ".join(tree)
        absent = [] if "images.zip" in tree else [one for one in everything(data) if f"{one.name}." not in files]
        yield "export", what, tree, Loss(len(absent), sum(len(one.boxes) for one in absent))
    for damage in damages(data):
        tree, loss = damage.apply(data)
        yield damage.form.__name__, damage.what, tree, loss


def search(data: Path, folder: Path, *words: str) -> dict[str, Any]:
    """What a search of the data comes to: its exit code, what it says, the images and boxes that are used."""
    out = folder / "out"
    process = multiprocessing.get_context("fork").Process(target=run, args=(data, folder / "home", out, words))
    process.start()
    process.join()
    said = out.read_text(encoding="utf-8", errors="replace")
    counted = COUNTS.search(said)
    numbers = [int(number.replace(",", "")) for number in counted.groups()] if counted else []
    told = said.replace(f"{data}/", "").replace(str(data), "DATA")
    return {
        "code": process.exitcode,
        "said": told,
        "images": sum(numbers[:3]) if numbers else None,
        "boxes": numbers[3] if numbers else None,
        "is_traceback": "Traceback" in said,
    }


def run(data: Path, home: Path, out: Path, words: tuple[str, ...]) -> None:
    """Be the command line; its outputs go to a file."""
    file = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(file, stream)
    name = f"{data.name}-{len(words)}"
    sys.argv = ["paretonas", "--home", str(home), "search", name, "--data", str(data), *SEARCH, *words]
    cli.main()


def problem(plain: dict[str, Any], skipping: dict[str, Any], total: tuple[int, int], loss: Loss) -> str:
    """What is wrong with what was said, or nothing."""
    if plain["is_traceback"] or skipping["is_traceback"]:
        return "a traceback"
    if loss.is_whole:
        return "" if plain["code"] == skipping["code"] == 2 else "it was not refused"
    left = total[0] - loss.images, total[1] - loss.boxes
    if skipping["code"] or (skipping["images"], skipping["boxes"]) != left:
        return f"{left[0]} images and {left[1]} boxes ought to be left"
    if plain["code"] not in (0, 2):
        return "an exit code that says nothing"
    return ""


def said_of(row: dict[str, Any], kind: str) -> str:
    """The message of an error, or the lines that tell of the data; in a cell of a table."""
    lines = [line.strip() for line in row[f"{kind}_said"].splitlines() if line.strip()]
    if row[f"{kind}_code"]:
        text = " ".join(lines[next((i for i, line in enumerate(lines) if line.startswith("error")), 0) :])
    else:
        begin = next(i for i, line in enumerate(lines) if line.startswith("data "))
        end = next(i for i, line in enumerate(lines) if line.endswith("epochs a trial"))
        text = "; ".join(lines[begin + 1 : end])
    text = text.removeprefix("error: ").replace("|", "\\|")
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def show(rows: list[dict[str, Any]]) -> None:
    """Two tables."""
    exports = [row for row in rows if row["form"] == "export"]
    damaged = [row for row in rows if row["form"] != "export"]
    print()
    columns = ("export", "exit code", "images", "boxes", "what is said of it", "problem")
    print_table(columns, ([row["what"], *outcome(row, "skipping"), row["problem"]] for row in exports))
    print()
    columns = ("form", "damage", "exit code", "what is said", "with `--skip-corrupt`", "images", "boxes", "problem")
    print_table(columns, (damage_cells(row) for row in damaged))
    print()
    refused = sum(row["plain_code"] == 2 for row in damaged)
    problems = sum(bool(row["problem"]) for row in rows)
    print(f"{len(exports)} exports, {len(damaged)} damaged copies: {refused} refused, {problems} problems.")


def outcome(row: dict[str, Any], kind: str) -> list[object]:
    """Cells of what a search came to."""
    return [row[f"{kind}_code"], row[f"{kind}_images"], row[f"{kind}_boxes"], said_of(row, kind)]


def damage_cells(row: dict[str, Any]) -> list[object]:
    """Cells of a damaged copy; what is said is that without `--skip-corrupt`."""
    code, *counts, _ = outcome(row, "skipping")
    return [row["form"], row["what"], row["plain_code"], said_of(row, "plain"), code, *counts, row["problem"]]


if __name__ == "__main__":
    main()
