import hashlib
import json
from copy import deepcopy

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from paretonas.errors import SpecError
from paretonas.space import ForeignSpec, load_spec, spec_from_json, spec_hash, spec_to_json
from paretonas.space.mnasnet import BlockSpec, MnasNetSpec
from paretonas.space.nasbench import MacroSpec
from paretonas.space.spec import strides_to_drop
from paretonas.space.table import TabularSpec

SPEC = MnasNetSpec((BlockSpec("mbconv", 5, 24, 2, 2, 3, 0.25, "identity"), BlockSpec("conv", 3, 8)), head_filters=64)
JSON = {
    "kind": "mnasnet",
    "blocks": [
        {
            "op": "mbconv",
            "kernel": 5,
            "filters": 24,
            "layers": 2,
            "stride": 2,
            "expansion": 3,
            "se_ratio": 0.25,
            "skip": "identity",
        },
        {
            "op": "conv",
            "kernel": 3,
            "filters": 8,
            "layers": 1,
            "stride": 1,
            "expansion": 1,
            "se_ratio": 0.0,
            "skip": "none",
        },
    ],
    "stem_filters": 32,
    "stem_stride": 2,
    "head_filters": 64,
    "activation": "relu",
}


def changed(**values):
    return {**deepcopy(JSON), **values}


def changed_block(**values):
    data = deepcopy(JSON)
    data["blocks"][0] |= values
    return data


def without(data, name):
    return {k: v for k, v in data.items() if k != name}


def test_json_form_is_readable_and_complete():
    assert spec_to_json(SPEC) == JSON
    assert spec_to_json(ForeignSpec("timm:resnet18")) == {
        "kind": "foreign",
        "source": "timm:resnet18",
        "strides_dropped": 0,
    }


def test_json_form_gives_the_spec_back():
    assert spec_from_json(JSON) == SPEC
    assert spec_from_json({"kind": "foreign", "source": "timm:resnet18"}) == ForeignSpec("timm:resnet18")


def test_fields_with_defaults_may_be_left_out():
    data = {"kind": "mnasnet", "blocks": [{"op": "conv", "kernel": 3, "filters": 8}]}
    assert spec_from_json(data) == MnasNetSpec((BlockSpec("conv", 3, 8),))


def test_whole_number_is_read_where_a_fraction_is_meant():
    ratio = spec_from_json(changed_block(se_ratio=1)).blocks[0].se_ratio
    assert ratio == 1.0
    assert type(ratio) is float


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (None, "JSON object with a 'kind'"),
        ([JSON], "JSON object with a 'kind'"),
        ("mnasnet", "JSON object with a 'kind'"),
        ({}, "JSON object with a 'kind'"),
        (changed(kind=7), "JSON object with a 'kind'"),
        (changed(kind=["mnasnet"]), "JSON object with a 'kind'"),
        (changed(kind="mnasnett"), "Did you mean 'mnasnet'"),
        (changed(stem=16), r"mnasnet has the fields .*, but got 'stem'"),
        (changed_block(width=2), r"mnasnet\.blocks\[0\] has the fields .*, but got 'width'"),
        (without(JSON, "blocks"), "mnasnet lacks 'blocks'"),
        (changed(blocks=[without(JSON["blocks"][0], "filters")]), r"mnasnet\.blocks\[0\] lacks 'filters'"),
        (changed(blocks=[{}]), r"mnasnet\.blocks\[0\] lacks 'op', 'kernel', 'filters'"),
        (changed(blocks=[]), "mnasnet: A network has 1 to 64 blocks, but got 0"),
        (changed(blocks=JSON["blocks"][0]), r"mnasnet\.blocks is a list"),
        (changed(blocks="mbconv"), r"mnasnet\.blocks is a list"),
        (changed(blocks=None), r"mnasnet\.blocks is a list"),
        (changed(blocks=[[]]), r"mnasnet\.blocks\[0\] is an object"),
        (changed(stem_filters=True), r"mnasnet\.stem_filters is of type int, but got True"),
        (changed(stem_filters="32"), r"mnasnet\.stem_filters is of type int, but got '32'"),
        (changed(stem_filters=32.0), r"mnasnet\.stem_filters is of type int, but got 32\.0"),
        (changed(stem_filters=None), r"mnasnet\.stem_filters is of type int, but got None"),
        (changed(stem_filters=float("nan")), r"mnasnet\.stem_filters is of type int, but got nan"),
        (changed(activation="swish"), r"mnasnet\.activation is one of 'relu', 'relu6', but got 'swish'"),
        (changed(activation=["relu"]), r"mnasnet\.activation is one of"),
        (changed(activation=None), r"mnasnet\.activation is one of"),
        (changed_block(op=True), r"mnasnet\.blocks\[0\]\.op is one of"),
        (changed_block(se_ratio=True), r"mnasnet\.blocks\[0\]\.se_ratio is of type float, but got True"),
        (changed_block(se_ratio="0.25"), r"mnasnet\.blocks\[0\]\.se_ratio is of type float"),
        (changed_block(se_ratio=float("nan")), r"mnasnet\.blocks\[0\]: A block has .*se_ratio=nan"),
        (changed_block(se_ratio=float("inf")), r"se_ratio=inf"),
        (changed_block(kernel=4), r"mnasnet\.blocks\[0\]: A block has an odd kernel .*kernel=4"),
        (changed_block(filters=10**30), r"filters=1000"),
        ({"kind": "foreign"}, "foreign lacks 'source'"),
        ({"kind": "foreign", "source": 1}, r"foreign\.source is of type str, but got 1"),
        ({"kind": "foreign", "source": "resnet18"}, "'torchvision:NAME' or 'module:factory', but got 'resnet18'"),
        ({"kind": "foreign", "source": "timm:"}, "'torchvision:NAME' or 'module:factory'"),
        ({"kind": "foreign", "source": ":resnet18"}, "'torchvision:NAME' or 'module:factory'"),
    ],
)
def test_what_is_not_a_spec_is_refused(data, message):
    with pytest.raises(SpecError, match=message):
        spec_from_json(data)


def test_whole_number_beyond_all_fractions_is_refused():
    with pytest.raises(SpecError, match="se_ratio"):
        spec_from_json(changed_block(se_ratio=10**400))


def test_long_values_are_cut_in_messages():
    with pytest.raises(SpecError) as caught:
        spec_from_json(changed(stem_filters="x" * 10_000))
    assert len(str(caught.value)) < 200


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
names = st.sampled_from(["kind", "blocks", "source", "op", "kernel", "filters", "se_ratio", "stem_filters"]) | st.text(
    max_size=4
)
anything = st.recursive(
    scalars, lambda x: st.lists(x, max_size=4) | st.dictionaries(names, x, max_size=4), max_leaves=12
)
fuzz = settings(max_examples=200, deadline=None, database=None, derandomize=True)


def assert_spec_or_spec_error(data):
    try:
        spec = spec_from_json(data)
    except SpecError:
        return
    assert spec_from_json(spec_to_json(spec)) == spec


@fuzz
@given(data=anything, kind=st.sampled_from(["mnasnet", "foreign"]))
@example(data={"source": "\ud800:x"}, kind="foreign")
def test_arbitrary_json_raises_spec_errors_only(data, kind):
    assert_spec_or_spec_error(data)
    assert_spec_or_spec_error({"kind": kind, **data} if isinstance(data, dict) else {"kind": kind, "blocks": data})


@fuzz
@given(value=anything, field=st.sampled_from(sorted(JSON)), in_block=st.sampled_from(sorted(JSON["blocks"][0])))
def test_damaged_spec_raises_spec_errors_only(value, field, in_block):
    assert_spec_or_spec_error(changed(**{field: value}))
    assert_spec_or_spec_error(changed_block(**{in_block: value}))


@pytest.mark.parametrize(
    ("spec", "text", "digits"),
    [
        (
            ForeignSpec("timm:resnet18"),
            '{"kind":"foreign","source":"timm:resnet18","strides_dropped":0}',
            "bf389f38e155d2b2",
        ),
        (
            MnasNetSpec((BlockSpec("conv", 3, 8),)),
            '{"activation":"relu","blocks":[{"expansion":1,"filters":8,"kernel":3,"layers":1,"op":"conv",'
            '"se_ratio":0.0,"skip":"none","stride":1}],"head_filters":1280,"kind":"mnasnet","stem_filters":32,'
            '"stem_stride":2}',
            "bc2243bbbae33ee3",
        ),
    ],
)
def test_hash_is_that_of_the_sorted_json_form(spec, text, digits):
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == digits
    assert spec_hash(spec) == digits


def test_hash_tells_specs_apart():
    specs = [SPEC, SPEC.scaled(0.5), MnasNetSpec(SPEC.blocks), MnasNetSpec(SPEC.blocks[::-1]), ForeignSpec("timm:a")]
    assert len({spec_hash(spec) for spec in specs}) == 5


def test_hash_does_not_depend_on_how_a_ratio_was_written():
    assert spec_hash(spec_from_json(changed_block(se_ratio=1))) == spec_hash(
        spec_from_json(changed_block(se_ratio=1.0))
    )


def test_spec_to_json_takes_specs_only():
    for wrong in (JSON, MnasNetSpec, None):
        with pytest.raises(SpecError, match="A spec is a dataclass"):
            spec_to_json(wrong)


def test_load_spec_reads_a_file(tmp_path):
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(JSON), encoding="utf-8")
    assert load_spec(path) == SPEC


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe", b'{"kind": "mnasnet", "blocks": ', b"1" * 5000, b"[" * 100_000, b"NaN"]
)
def test_load_spec_refuses_what_is_not_a_spec(tmp_path, content):
    path = tmp_path / "spec.json"
    path.write_bytes(content)
    with pytest.raises(SpecError):
        load_spec(path)


def test_load_spec_names_the_file_that_is_missing(tmp_path):
    with pytest.raises(SpecError, match=r"missing\.json cannot be read"):
        load_spec(tmp_path / "missing.json")


def test_load_spec_refuses_a_folder(tmp_path):
    with pytest.raises(SpecError, match="cannot be read"):
        load_spec(tmp_path)


@pytest.mark.parametrize("spec", [ForeignSpec("timm:resnet18"), TabularSpec("table", ("a", "b"))])
def test_spec_that_says_nothing_of_itself_has_no_parts(spec):
    assert spec.parts() == ()


@pytest.mark.parametrize("spec", [TabularSpec("table", ("a",)), MacroSpec(("identity",) * 8)])
def test_spec_without_sizes_of_its_own_stays_as_it_is(spec):
    assert spec.scaled() is spec
    assert spec.scaled(resolution=32) is spec
    for changes in ({"width": 0.5}, {"depth": 2.0}, {"width": float("nan")}):
        with pytest.raises(SpecError, match=f"kind '{spec.kind}' comes in its own width and depth, but got width="):
            spec.scaled(**changes)


@pytest.mark.parametrize(("resolution", "dropped"), [(224, 0), (128, 0), (127, 1), (64, 1), (32, 2), (16, 3), (4, 5)])
def test_foreign_network_loses_as_many_strides_as_small_images_need(resolution, dropped):
    spec = ForeignSpec("timm:mobilenetv3_small_100").scaled(resolution=resolution)
    assert spec == ForeignSpec("timm:mobilenetv3_small_100", strides_dropped=dropped)
    assert strides_to_drop(resolution) == dropped


def test_foreign_network_is_scaled_from_what_was_published_however_often():
    spec = ForeignSpec("timm:resnet18", strides_dropped=1)
    assert spec.scaled() == spec
    assert spec.scaled(resolution=32).scaled(resolution=224) == ForeignSpec("timm:resnet18")
    with pytest.raises(SpecError, match="its own width and depth"):
        spec.scaled(1.4)
    with pytest.raises(SpecError, match="4 to 4096 pixels a side, but got 3"):
        spec.scaled(resolution=3)


@pytest.mark.parametrize("dropped", [-1, 11])
def test_foreign_network_refuses_strides_out_of_range(dropped):
    with pytest.raises(SpecError, match="0 <= strides_dropped <= 10"):
        ForeignSpec("timm:resnet18", dropped)
