import onnx
import pytest
from exported import interface_of, noise, open_session
from onnx import helper
from torch import nn

from paretonas.errors import ExportError
from paretonas.export.onnx import export_directly
from paretonas.export.onnx.metadata import LONGEST, read_metadata, write_metadata


def written(path, properties):
    """A file of somebody else's, with these properties."""
    model = nn.Sequential(nn.ReLU())
    export_directly(model, interface_of(model, noise(1, 3)), path)
    proto = onnx.load(path)
    helper.set_model_props(proto, properties)
    onnx.save(proto, path)
    return path


def test_engines_give_every_entry_as_json(path):
    write_metadata(written(path, {}), {"classes": ["a", "b"], "mean": 0.5, "kind": "classes", "transform": None})
    found = open_session(path).get_modelmeta().custom_metadata_map
    assert found == {"classes": '["a", "b"]', "mean": "0.5", "kind": '"classes"', "transform": "null"}


def test_nothing_to_say_leaves_the_file_as_it_is(path):
    before = written(path, {}).read_bytes()
    write_metadata(path, {})
    assert path.read_bytes() == before


@pytest.mark.parametrize("text", ["{0: 'person'}", "", "[" * 100_000, "9" * 5000, "Jane Doe"])
def test_what_others_say_is_a_string_where_it_is_no_json(path, text):
    assert read_metadata(written(path, {"names": text})) == {"names": text}


def test_too_many_words_are_refused(path):
    with pytest.raises(ExportError, match=f"at most {LONGEST} characters"):
        read_metadata(written(path, {"classes": "x" * (LONGEST + 1)}))
