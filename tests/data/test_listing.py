from pictures import coloured, find, prepare, refuses, write_parquet, write_tree


def test_digits_are_grey_8x8_and_not_flipped(cache):
    digits = prepare("digits", cache)
    assert digits.classes == tuple("0123456789")
    assert (digits.resolution, digits.channels, digits.flip) == (8, 1, False)
    assert [len(split) for split in (digits.train, digits.val, digits.test)] == [1151, 287, 359]
    assert digits.train.images.max() == 255
    assert prepare("digits", cache, resolution=16).train.images.shape == (1151, 1, 16, 16)


def test_absent_data_suggest_the_digits(tmp_path):
    refuses(tmp_path / "nowhere", "'digits'")


def test_unknown_layouts_are_refused_with_what_they_hold(tmp_path):
    (tmp_path / "data.zip").write_bytes(b"")
    refuses(tmp_path / "data.zip", "none of these")
    (tmp_path / "empty").mkdir()
    refuses(tmp_path / "empty", r"none of these\.")
    (tmp_path / "flat").mkdir()
    coloured(1).save(tmp_path / "flat" / "1.png")
    (tmp_path / "flat" / "labels.csv").write_text("1.png,cat")
    refuses(tmp_path / "flat", r"1 image outside class folders \(1\.png\), 1 other file \(\.csv 1\)")


def test_a_folder_that_holds_two_kinds_of_data_is_refused(tmp_path):
    write_tree(tmp_path / "set", {"a": 2, "b": 2})
    write_parquet(tmp_path / "set/all.parquet", [0, 1])
    refuses(tmp_path / "set", r"both: all\.parquet and a/0\.png")


def test_what_lies_beside_parquet_files_is_said(tmp_path):
    write_parquet(tmp_path / "set/a.parquet", [0, 1])
    write_tree(tmp_path / "set", {"figures": 1})
    (tmp_path / "set/README.md").write_text("about")
    (tmp_path / "set/classes.json").write_text('["cat", "dog"]')
    found = find(tmp_path / "set")
    assert found.classes == ("cat", "dog")
    assert found.notes == (f"not used of {tmp_path / 'set'}: 2 other files (.md 1, .png 1), 1 folder (figures)",)


def test_columns_are_asked_of_parquet_files_only(tree):
    refuses(tree, "Columns are of Parquet files", label_column="label")
