import pytest
from onnx import TensorProto, helper, save

from paretonas.errors import ExportError
from paretonas.export.onnx.external import check_external_data


def named(place):
    """A weight that lies in another file."""
    weight = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    weight.external_data.add(key="offset", value="0")
    weight.external_data.add(key="location", value=place)
    return weight


def as_weight(tensor):
    return helper.make_graph([], "g", [], [], [tensor])


def as_constant(tensor):
    return helper.make_graph([helper.make_node("Constant", [], ["y"], value=tensor)], "g", [], [])


def in_a_branch(tensor):
    return helper.make_graph([helper.make_node("If", ["c"], ["y"], then_branch=as_constant(tensor))], "g", [], [])


def as_sparse(tensor):
    indices = helper.make_tensor("i", TensorProto.INT64, [4], [0, 1, 2, 3])
    sparse = helper.make_sparse_tensor(tensor, indices, [9])
    return helper.make_graph([], "g", [], [], sparse_initializer=[sparse])


HIDDEN = [as_weight, as_constant, in_a_branch, as_sparse]


@pytest.mark.parametrize("hide", HIDDEN)
@pytest.mark.parametrize("place", ["../w.data", "sub/../../w.data", "/etc/passwd", "link", "linked/w.data"])
def test_what_reaches_out_of_the_folder_is_refused(tmp_path, hide, place):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "link").symlink_to("../w.data")
    (folder / "linked").symlink_to("..")
    save(helper.make_model(hide(named(place))), folder / "a.onnx")
    with pytest.raises(ExportError, match=rf"weights of .*a\.onnx lie in its folder, but it names '{place}'"):
        check_external_data(folder / "a.onnx")


@pytest.mark.parametrize("hide", HIDDEN)
@pytest.mark.parametrize("place", ["a.onnx.data", "sub/w.data", "sub/../w.data", "link"])
def test_what_lies_in_the_folder_is_let_through(tmp_path, hide, place):
    (tmp_path / "link").symlink_to("w.data")
    save(helper.make_model(hide(named(place))), tmp_path / "a.onnx")
    check_external_data(tmp_path / "a.onnx")


def test_what_cannot_be_parsed_is_refused(tmp_path):
    (tmp_path / "a.onnx").write_bytes(b"\xff location")
    with pytest.raises(ExportError, match=r"can be parsed, but .*a\.onnx"):
        check_external_data(tmp_path / "a.onnx")
