"""Parquet files: columns, labels, class names and splits, in the layouts that people and Hugging Face use.

Nothing is allocated by what a file says of itself before that was checked, and nothing is ever unpickled.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from paretonas.data.classes import declared_by_hugging_face, index_labels, read_classes, unite_names
from paretonas.data.contents import empty_split
from paretonas.data.decode import Listing
from paretonas.data.shards import Shard
from paretonas.data.source import DataSource
from paretonas.errors import DataError

POINTER = b"version https://git-lfs"
BATCH, SHOWN = 512, 12
IMAGE_COLUMNS = ("image", "img")
LABEL_COLUMNS = ("label", "labels", "fine_label")


@dataclass(frozen=True, eq=False)
class Table:
    """A file's labels, and what its images are read by.

    Args:
        shard: Which file.
        image: Column.
        label: Column.
        labels: (n,) int64, or objects of type str.
        declared: Names by label, from the file's metadata.
    """

    shard: Shard
    image: str
    label: str
    labels: np.ndarray
    declared: dict[int, str] | None


def list_parquet(shards: Sequence[Shard], source: DataSource, classes_file: Path, notes: tuple[str, ...]) -> Listing:
    """Find labels and splits of the images in Parquet files.

    Args:
        shards: In order.
        source: Names columns, or leaves them to be found.
        classes_file: Names classes, if it exists.
        notes: On what is not used beside them.

    Raises:
        DataError: A file cannot be read, or its columns or labels cannot be used.
    """
    content = hashlib.sha256()
    tables = []
    for shard in shards:
        tables.append(_read_table(shard, source))
        with shard.file.open("rb") as opened:
            content.update(f"{shard.split} {hashlib.file_digest(opened, 'sha256').hexdigest()} ".encode())
    rows = [len(table.labels) for table in tables]
    splits = np.repeat([shard.split for shard in shards], rows)
    for shard in shards:
        if shard.split not in splits:
            raise empty_split(shard.file)
    classes, indices, unused = _name_classes(tables, splits, classes_file)
    content.update(json.dumps(classes).encode())
    return Listing(
        names=[f"{table.shard.name} row {row}" for table, n in zip(tables, rows, strict=True) for row in range(n)],
        labels=indices,
        splits=splits,
        classes=classes,
        content=content.hexdigest(),
        encoded=lambda: (image for table in tables for image in _stream_images(table)),
        notes=(*notes, *unused),
    )


def _read_table(shard: Shard, source: DataSource) -> Table:
    file = shard.file
    if not file.is_file():
        raise DataError(f"{file} must be a regular file, but is not. Replace or remove it.")
    with file.open("rb") as opened:
        if opened.read(len(POINTER)) == POINTER:
            raise DataError(f"{file} must be a Parquet file, but only says where Git LFS has it. Get it: git lfs pull.")
    with _parquet_errors(file), pq.ParquetFile(file) as parquet:
        schema = parquet.schema_arrow
        _check_rows(file, parquet.metadata)
        image = _find_column(file, schema, "image_column", source.image_column, IMAGE_COLUMNS)
        label = _find_column(file, schema, "label_column", source.label_column, LABEL_COLUMNS)
        kind = schema.field(image).type
        if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
            kind = kind.field("bytes").type
        if not (pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind)):
            raise DataError(
                f"{file}: `{image}` must hold encoded bytes, plain or as a struct's `bytes`, but is {kind}."
            )
        labels = _to_labels(shard, label, parquet.read(columns=[label]).column(label))
        return Table(shard, image, label, labels, declared_by_hugging_face(file, schema.metadata, label))


def _check_rows(file: Path, metadata: pq.FileMetaData) -> None:
    """Every image takes a byte of the file at least; readers allocate what the metadata say."""
    groups = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
    size = file.stat().st_size
    if not sum(groups) == metadata.num_rows <= size or min(groups, default=0) < 0:
        raise DataError(
            f"A Parquet file must have as many rows as it says and at most one a byte, but {file} of {size:,} bytes "
            f"says {metadata.num_rows:,}, and {sum(groups):,} in its parts. It is damaged: get it anew."
        )


def _find_column(file: Path, schema: pa.Schema, option: str, asked: str | None, common: Sequence[str]) -> str:
    names = [asked] if asked else common
    found = [name for name in names if schema.names.count(name) == 1]
    if len(found) != 1:
        columns = ", ".join([f"{field.name} ({field.type})" for field in schema][:SHOWN]) or "none"
        columns += f" and {len(schema) - SHOWN} more" if len(schema) > SHOWN else ""
        raise DataError(
            f"{file} must have one column {' or '.join(f'`{name}`' for name in names)}, but has {columns}. "
            f"Say which it is: --task classification:{option}=NAME."
        )
    return found[0]


def _to_labels(shard: Shard, name: str, labels: pa.ChunkedArray) -> np.ndarray:
    """(n,) int64, or objects of type str."""
    if pa.types.is_dictionary(labels.type):
        labels = labels.cast(labels.type.value_type)
    if labels.null_count:
        raise DataError(f"Every image must have a label, but {labels.null_count} labels in {shard.file} are null.")
    if pa.types.is_boolean(labels.type):
        labels = labels.cast(pa.string())
    if pa.types.is_string(labels.type) or pa.types.is_large_string(labels.type) or pa.types.is_string_view(labels.type):
        return np.asarray(labels, dtype=object)
    if not pa.types.is_integer(labels.type):
        raise DataError(f"{shard.file}: `{name}` must hold integers or strings, but is {labels.type}.")
    numbers = np.asarray(labels.cast(pa.int64()))
    if len(numbers) and numbers.min() < 0:
        raise DataError(
            f"Labels must not be negative, but one is {numbers.min()} in {shard.file}. Remove unlabelled images, or "
            "the whole file if it is of a split without labels."
        )
    return numbers


def _name_classes(
    tables: Sequence[Table], splits: np.ndarray, classes_file: Path
) -> tuple[tuple[str, ...], np.ndarray, tuple[str, ...]]:
    """Names, (n,) int64 indices into them, and a line on names that no image has."""
    if len({table.labels.dtype for table in tables}) > 1:
        place = tables[0].shard.file.parent
        raise DataError(f"Labels must be all integers or all strings, but the files in {place} mix them.")
    labels = np.concatenate([table.labels for table in tables])
    if labels.dtype == object:
        labels = _unite_labels(labels, splits, classes_file.parent)
    declared: dict[int, str] | None = None
    place = tables[0].shard.file
    if classes_file.is_file():
        declared, place = read_classes(classes_file), classes_file
    elif labels.dtype != object:
        declared = tables[0].declared
        other = next((table for table in tables if table.declared != declared), None)
        if other:
            raise DataError(f"Files must name the same classes, but {place} and {other.shard.file} do not.")
    classes, indices = index_labels(labels, declared, place)
    unused = [name for name in (declared or {}).values() if name not in classes]
    some = ", ".join(unused[:3]) + (", …" if len(unused) > 3 else "")
    return classes, indices, (f"no image is of {some}: left out of the classes",) if unused else ()


def _unite_labels(labels: np.ndarray, splits: np.ndarray, place: Path) -> np.ndarray:
    united: dict[str, str] = {}
    for split in np.unique(splits):
        united |= unite_names(sorted(set(labels[splits == split])), f"{split} of {place}")
    return np.array([united[label] for label in labels], dtype=object)


def _stream_images(table: Table) -> Iterator[bytes | None]:
    file, streamed = table.shard.file, 0
    with _parquet_errors(file), pq.ParquetFile(file) as parquet:
        for batch in parquet.iter_batches(batch_size=BATCH, columns=[table.image]):
            column = batch.column(0)
            yield from (pc.struct_field(column, "bytes") if pa.types.is_struct(column.type) else column).to_pylist()
            streamed += len(column)
    if streamed != len(table.labels):
        raise DataError(f"{file} must have an image for every label, but has {streamed} for {len(table.labels)}.")


@contextmanager
def _parquet_errors(file: Path) -> Iterator[None]:
    try:
        yield
    except DataError:
        raise
    except Exception as error:  # also what its reader stumbled over, such as a column's name that is no UTF-8
        raise DataError(f"{file} must be a readable Parquet file, but reading it failed: {error}") from error
