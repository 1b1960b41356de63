"""What users write, read."""

import pytest

from paretonas.cli.reading import read_estimates, read_toml, with_devices, with_precision
from paretonas.errors import UsageError


def test_what_a_search_finds_out_itself_is_not_taken_from_a_file(tmp_path):
    file = tmp_path / "cats.toml"
    file.write_text('name = "cats"\n[recorded]\nbaseline_of = "dogs"\ndigest = "b2ee"\n')
    assert read_toml(file) == {"name": "cats"}


def test_a_file_from_windows_is_read(tmp_path):
    file = tmp_path / "cats.toml"
    file.write_bytes(b'\xef\xbb\xbfname = "cats"\r\n')
    assert read_toml(file) == {"name": "cats"}


@pytest.mark.parametrize(
    "written", [["many"], ["phone=1.5"], ["50", "60"], ["50", "phone=60"], ["phone=50", "phone=60"]]
)
def test_estimates_are_whole_numbers_once_a_device(written):
    with pytest.raises(UsageError, match=r"An estimate is written N|Estimates are asked for once"):
        read_estimates(written)


def test_estimate_without_a_name_is_for_every_device():
    settings = {"device": ["phone=onnxruntime", "pi=torch"]}
    with_devices(settings, (), {"phone": 9.0}, {"": 50})
    assert settings["device"] == [
        {"device": "onnxruntime", "name": "phone", "target_ms": 9.0, "estimate": 50},
        {"device": "torch", "name": "pi", "estimate": 50},
    ]


def test_estimate_with_a_name_is_for_that_device():
    settings = {"device": ["phone=onnxruntime", "pi=torch"]}
    with_devices(settings, (), {}, {"pi": 100})
    assert settings["device"] == [
        {"device": "onnxruntime", "name": "phone"},
        {"device": "torch", "name": "pi", "estimate": 100},
    ]
    with pytest.raises(UsageError, match=r"An estimate is for a device \(phone, pi\), but got one for 'fridge'"):
        with_devices(settings, (), {}, {"fridge": 100})


def test_table_is_not_estimated():
    with pytest.raises(UsageError, match="leave --estimate out"):
        with_devices({"table": {"file": "t.parquet"}}, (), {}, {"": 100})


@pytest.mark.parametrize(
    ("written", "found"),
    [
        (None, ["onnxruntime:precision=int8"]),
        (["pi=onnxruntime@ssh:pi@board,patience=5"], ["pi=onnxruntime:precision=int8@ssh:pi@board,patience=5"]),
        (["onnxruntime:precision=int8,keep=stem"], ["onnxruntime:precision=int8,keep=stem"]),
        (
            [{"name": "a", "device": "onnxruntime:threads=2", "target_ms": 3}, {"name": "b"}],
            [
                {"name": "a", "device": "onnxruntime:threads=2,precision=int8", "target_ms": 3},
                {"name": "b", "device": "onnxruntime:precision=int8"},
            ],
        ),
    ],
)
def test_a_precision_is_of_every_device(written, found):
    settings = {} if written is None else {"device": written}
    with_precision(settings, "int8")
    assert settings["device"] == found


def test_a_precision_is_not_of_tables_and_not_another_one():
    with pytest.raises(UsageError, match="leave --quantize out"):
        with_precision({"table": {"file": "t.parquet"}}, "int8")
    with pytest.raises(UsageError, match="'openvino:precision=bfloat16' has another"):
        with_precision({"device": ["openvino:precision=bfloat16"]}, "int8")
