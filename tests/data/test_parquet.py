import json
import struct

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pictures import coloured, encode, fails, find, identities, prepare, refuses, write_parquet

FEATURES = {"image": {"_type": "Image"}, "label": {"names": ["cat", "dog", "cow", "ant"], "_type": "ClassLabel"}}


def write_as_hugging_face(file, labels, features):
    table = pa.table({"image": [encode(coloured(label)) for label in labels], "label": labels})
    described = json.dumps({"info": {"features": features}}).encode()
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table.replace_schema_metadata({b"huggingface": described}), file)


def test_parquet_reads_the_struct_of_hugging_face(tmp_path, cache):
    rows = [{"bytes": encode(coloured(row)), "path": None} for row in range(20)]
    write_parquet(tmp_path / "set.parquet", [0, 1] * 10, encoded=rows)
    assert len(prepare(tmp_path / "set.parquet", cache).full_train) == 16


@pytest.mark.parametrize("kind", [pa.large_binary(), pa.binary_view()])
def test_encoded_images_are_bytes_of_any_type(tmp_path, kind):
    encoded = pa.array([encode(coloured(row)) for row in range(4)], kind)
    write_parquet(tmp_path / "set.parquet", [0, 1] * 2, encoded=encoded)
    assert list(find(tmp_path / "set.parquet").encoded()) == encoded.to_pylist()


def test_class_names_of_hugging_face_are_used_and_those_without_images_left_out(tmp_path):
    for name in ("train", "test"):
        write_as_hugging_face(tmp_path / "set" / f"{name}.parquet", [3, 0, 1, 3], FEATURES)
    found = find(tmp_path / "set")
    assert found.classes == ("cat", "dog", "ant")
    assert found.labels.tolist() == [2, 0, 1, 2] * 2
    assert found.notes == ("no image is of cow: left out of the classes",)


def test_classes_json_wins_over_the_names_of_hugging_face(tmp_path):
    write_as_hugging_face(tmp_path / "set.parquet", [0, 3], FEATURES)
    (tmp_path / "classes.json").write_text('{"eel": 3, "fox": 0}')
    assert find(tmp_path / "set.parquet").classes == ("fox", "eel")


@pytest.mark.parametrize(
    "features", [{}, [], {"label": {"_type": "Value"}}, {"label": {"names": [1, 2], "_type": "ClassLabel"}}]
)
def test_metadata_without_class_names_leave_numbers(tmp_path, features):
    write_as_hugging_face(tmp_path / "set.parquet", [0, 3], features)
    assert find(tmp_path / "set.parquet").classes == ("0", "3")


def test_files_that_name_other_classes_are_an_error(tmp_path):
    write_as_hugging_face(tmp_path / "train.parquet", [0, 1], FEATURES)
    write_as_hugging_face(
        tmp_path / "test.parquet", [0, 1], {"label": {"names": ["dog", "cat"], "_type": "ClassLabel"}}
    )
    refuses(tmp_path, "must name the same classes")


def test_unlabelled_files_are_named(tmp_path):
    write_parquet(tmp_path / "train.parquet", [0, 1])
    write_parquet(tmp_path / "test.parquet", [-1, -1])
    refuses(tmp_path, r"one is -1 in .*test\.parquet. Remove unlabelled images, or the whole file")


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (["dog", "cat"], ("cat", "dog")),
        (pa.array(["dog", "cat"] * 10).dictionary_encode(), ("cat", "dog")),
        (pa.array([7, 3] * 10, pa.int8()), ("3", "7")),
        (pa.array(["dog", "cat"] * 10, pa.string_view()), ("cat", "dog")),
        (pa.array([True, False] * 10), ("false", "true")),
    ],
)
def test_parquet_without_class_names_takes_them_from_the_labels(tmp_path, cache, labels, classes):
    labels = labels * 10 if isinstance(labels, list) else labels
    write_parquet(tmp_path / "set.parquet", labels)
    prepared = prepare(tmp_path / "set.parquet", cache)
    assert prepared.classes == classes
    assert [1 - number % 2 for number in identities(prepared.train)] == prepared.train.labels.tolist()


@pytest.mark.parametrize("columns", [("img", "label"), ("image", "labels"), ("img", "fine_label")])
def test_columns_of_common_names_are_found(tmp_path, columns):
    pq.write_table(
        pa.table({columns[0]: [b"1", b"2"], "coarse_label": [9, 9], columns[1]: [4, 5]}), tmp_path / "x.parquet"
    )
    assert find(tmp_path / "x.parquet").classes == ("4", "5")


def test_columns_are_those_asked_for(tmp_path, cache):
    encoded = [encode(coloured(number)) for number in range(20)]
    table = pa.table({"image": [b"thumb"] * 20, "photo": encoded, "label": [0] * 20, "breed": ["pug", "husky"] * 10})
    pq.write_table(table, tmp_path / "set.parquet")
    prepared = prepare(tmp_path / "set.parquet", cache, image_column="photo", label_column="breed")
    assert prepared.classes == ("husky", "pug")
    assert [1 - number % 2 for number in identities(prepared.train)] == prepared.train.labels.tolist()
    refuses(tmp_path / "set.parquet", r"one column `bread`, but has image \(binary\)", label_column="bread")


def test_parquet_that_cannot_be_read_is_an_error(tmp_path, cache):
    (tmp_path / "set.parquet").write_bytes(b"PAR1 and no more")
    fails(tmp_path / "set.parquet", cache, "readable Parquet")
    write_parquet(tmp_path / "set.parquet", [0, 1] * 10)
    content = bytearray((tmp_path / "set.parquet").read_bytes())
    content[4:400] = bytes(396)  # the pages of the images
    (tmp_path / "set.parquet").write_bytes(content)
    fails(tmp_path / "set.parquet", cache, "readable Parquet")


def varint(number):
    """Of Thrift's compact protocol, zigzag."""
    digits, number = [], 2 * number
    while number > 127:
        digits, number = [*digits, number & 127 | 128], number >> 7
    return bytes([*digits, number])


@pytest.mark.parametrize(
    ("lies", "rows"), [({0}, 2**45), ({3}, 2**45), ({0, 3}, 2**45), ({0, 1, 2, 3}, 2**45), ({0}, 3), ({3}, 3)]
)
def test_rows_that_a_file_cannot_have_are_refused_before_they_are_read(tmp_path, lies, rows):
    """The number stands in the metadata four times: of the file, of both columns, of the only part."""
    file = tmp_path / "set.parquet"
    pq.write_table(pa.table({"image": [b"png"] * 301, "label": list(range(301))}), file)
    content = file.read_bytes()
    (size,) = struct.unpack("<I", content[-8:-4])
    parts = content[-8 - size : -8].split(b"\x16" + varint(301))
    assert len(parts) == 5
    footer = parts[0]
    for place, part in enumerate(parts[1:]):
        footer += b"\x16" + varint(rows if place in lies else 301) + part
    file.write_bytes(content[: -8 - size] + footer + struct.pack("<I", len(footer)) + b"PAR1")
    refuses(file, "as many rows as it says")


@pytest.mark.parametrize(
    ("columns", "match"),
    [
        ({"img": [b"1"], "name": ["a"]}, r"one column `label` or `labels` or `fine_label`, but has img \(binary\)"),
        ({"image": [b"1"]}, r"has image \(binary\). Say which it is: --task classification:label_column=NAME"),
        ({"image": ["text"], "label": [0]}, "is string"),
        ({"image": [{"path": "x"}], "label": [0]}, "is struct"),
        ({"image": [b"1"], "label": [0.5]}, "is double"),
        ({"image": [b"1", b"2"], "label": [0, None]}, "1 labels in .* are null"),
        ({"image": [b"1", b"2"], "label": [0, -1]}, "negative, but one is -1"),
    ],
)
def test_parquet_columns_are_checked(tmp_path, columns, match):
    pq.write_table(pa.table(columns), tmp_path / "set.parquet")
    refuses(tmp_path / "set.parquet", match)


def test_two_columns_that_might_be_meant_are_an_error(tmp_path):
    pq.write_table(pa.table({"image": [b"1", b"2"], "label": [0, 1], "fine_label": [4, 5]}), tmp_path / "set.parquet")
    refuses(tmp_path / "set.parquet", "Say which it is")
    assert find(tmp_path / "set.parquet", label_column="fine_label").classes == ("4", "5")


def test_a_parquet_file_that_is_no_file_is_an_error(tmp_path):
    (tmp_path / "set.parquet").symlink_to(tmp_path / "nowhere")
    refuses(tmp_path, "must be a regular file")


def test_a_pointer_to_a_file_that_was_not_fetched_is_told_apart(tmp_path):
    (tmp_path / "set.parquet").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    refuses(tmp_path / "set.parquet", "git lfs pull")


def test_a_split_without_rows_is_an_error(tmp_path):
    write_parquet(tmp_path / "set/train.parquet", [0, 1])
    write_parquet(tmp_path / "set/test.parquet", pa.array([], pa.int64()), encoded=pa.array([], pa.binary()))
    refuses(tmp_path / "set", r"test\.parquet holds none")


def test_labels_must_be_of_one_kind(tmp_path):
    write_parquet(tmp_path / "set/a.parquet", [0, 1])
    write_parquet(tmp_path / "set/b.parquet", ["0", "1"])
    refuses(tmp_path / "set", "mix them")


def test_labels_that_look_alike_are_one_class_in_all_splits(tmp_path):
    write_parquet(tmp_path / "train.parquet", ["caf\u00e9", "tea"])
    write_parquet(tmp_path / "test.parquet", ["cafe\u0301", "tea"])
    found = find(tmp_path)
    assert (found.classes, found.labels.tolist()) == (("caf\u00e9", "tea"), [0, 1, 0, 1])
    write_parquet(tmp_path / "test.parquet", ["cafe\u0301", "caf\u00e9"])
    refuses(tmp_path, "differ to the eye")
