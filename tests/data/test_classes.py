import json

import pytest
from pictures import find, refuses, write_parquet


@pytest.mark.parametrize(
    "names",
    [
        ["cat", "dog"],
        {"0": "cat", "1": "dog"},
        {"dog": 1, "cat": 0},
        {"classes": ["cat", "dog"], "licence": "none"},
        {"cat": 0, "cow": 7, "dog": 1},
        ["cat", "dog", "cow"],
    ],
)
@pytest.mark.parametrize("labels", [[0, 1], ["cat", "dog"]])
def test_classes_json_names_the_classes(tmp_path, names, labels):
    write_parquet(tmp_path / "set.parquet", labels * 2)
    (tmp_path / "classes.json").write_text(json.dumps(names))
    found = find(tmp_path / "set.parquet")
    assert found.classes == ("cat", "dog")
    assert found.labels.tolist() == [0, 1, 0, 1]
    assert found.notes == (("no image is of cow: left out of the classes",) if "cow" in names else ())


@pytest.mark.parametrize(
    ("names", "match"),
    [
        ('["a"]', r"among the 1 classes .* \[1\] are not"),
        ('{"1": "a", "2": "b"}', r"among the 2 classes .* \[0\] are not"),
        ("[", "must be JSON"),
        ('["a", "a"]', "different strings"),
        ('{"a": 0, "b": 0}', "different strings"),
        ('{"a": "b"}', "different strings"),
        ("[1, 2]", "different strings"),
        ("[]", "different strings"),
        ("3", "different strings"),
        (r'["caf\u00e9", "cafe\u0301"]', "differ to the eye"),
    ],
)
def test_classes_json_is_checked(tmp_path, names, match):
    write_parquet(tmp_path / "set.parquet", [0, 1])
    (tmp_path / "classes.json").write_text(names)
    refuses(tmp_path / "set.parquet", match)
