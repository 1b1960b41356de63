"""Whatever is given to paretonas, only its own errors come out, and nothing is lost or changed."""

import json
import sqlite3
import struct
import tempfile
import zlib
from contextlib import contextmanager, suppress
from dataclasses import fields
from io import BytesIO
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from paretonas.cli.reading import read_seconds, read_toml
from paretonas.data.images import prepare_data
from paretonas.data.listing import list_images
from paretonas.data.source import DataSource
from paretonas.device import parse_device, runtimes, transports
from paretonas.errors import DataError, ParetonasError, SpecError, StoreError, UsageError
from paretonas.executor import executors
from paretonas.export import formats
from paretonas.loop.gates import schedulers, screens
from paretonas.objective import Limit, metrics, rewards
from paretonas.registry import describe_options
from paretonas.search.config import DeviceConfig
from paretonas.search.sections import config_from_json, config_to_json
from paretonas.space import load_spec, spaces, spec_from_json, spec_hash, spec_to_json
from paretonas.space.spec import spec_kinds
from paretonas.store import Store
from paretonas.store.store import SearchSummary
from paretonas.strategy import strategies
from paretonas.task import recipes, tasks
from paretonas.testing.store import some_trial
from paretonas.training import samplings
from paretonas.trial import State, Trial
from paretonas.zoo import zoo, zoo_spec

REGISTRIES = (
    runtimes, transports, executors, formats, spaces, spec_kinds, strategies, recipes, tasks, rewards, metrics, zoo,
    schedulers, screens, samplings,
)  # fmt: skip


def fuzz(examples, **given_values):
    """Run a test with so many examples, and marked as slow with a hundred times as many."""

    def decorate(function):
        def run(times):
            setting = settings(max_examples=times, deadline=None, suppress_health_check=list(HealthCheck))
            return setting(given(**given_values)(function))

        globals()[f"{function.__name__}_long"] = pytest.mark.slow(pytest.mark.timeout(3600)(run(100 * examples)))
        return run(examples)

    return decorate


@contextmanager
def folder():
    with tempfile.TemporaryDirectory(prefix="paretonas-fuzz-") as place:
        yield Path(place)


def contents(root):
    """All that is under `root`, by name."""
    return {
        str(path.relative_to(root)): path.read_bytes() if path.is_file() else None for path in sorted(root.rglob("*"))
    }


NUMBERS = (
    st.integers()
    | st.floats()
    | st.sampled_from([2**31, 2**63, -(2**63) - 1, 10**30, 1e308, 5e-324, -0.0, float("nan"), float("inf")])
    | st.integers(3600, 5000).map(lambda digits: 16**digits)  # more digits than Python prints
)
VALUES = st.none() | st.booleans() | NUMBERS | st.text(max_size=20)
JSON = st.recursive(VALUES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner))


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


# --- data -------------------------------------------------------------------------------------------------------------


def png(side=10, number=0):
    buffer = BytesIO()
    Image.new("RGB", (side, side), (number, 0, 0)).save(buffer, "PNG")
    return buffer.getvalue()


def huge_png(width, height):
    """A file of a few bytes that claims to be very large."""
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"")),
        (b"IEND", b""),
    )
    body = b"".join(struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + body


GOOD = png()
IMAGES = (
    st.just(GOOD)
    | st.integers(0, len(GOOD) - 1).map(lambda end: GOOD[:end])
    | st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)).map(
        lambda at: GOOD[: at[0]] + bytes([at[1]]) + GOOD[at[0] + 1 :]
    )
    | st.builds(huge_png, st.sampled_from([1, 9000, 60_000, 2**31 - 1]), st.sampled_from([1, 9000, 2**31 - 1]))
    | st.binary(max_size=40)
)
NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=12).filter(
    lambda name: name not in (".", "..")
)
FOLDERS = st.sampled_from(["cat", "dog", "train", "test", "val", ".hidden", "eel.png", "Ä"]) | NAMES
FILES = st.sampled_from(["a.png", "b.JPG", "c.tif", "notes.txt", ".png", "x.parquet"]) | NAMES.map("{}.png".format)
PLACES = st.lists(FOLDERS, min_size=0, max_size=3)


def write_tree(root, found):
    """As much of it as the file system takes."""
    for number in range(8):
        for kind in ("cat", "dog"):
            (root / kind).mkdir(parents=True, exist_ok=True)
            (root / kind / f"{number}.png").write_bytes(png(number=number))
    for places, name, content in found:
        place = root.joinpath(*places)
        with suppress(OSError):
            place.mkdir(parents=True, exist_ok=True)
            (place / name).write_bytes(content)


def prepare(path, place, stream):
    """What comes of it, after a look at what must hold in any case."""
    cache = place / "cache"
    try:
        found = prepare_data(DataSource(str(path), resolution=8, skip_corrupt=True, stream=stream), cache)
    except DataError:
        assert not cache.exists() or not list(cache.iterdir())  # nothing half done is left behind
        return None
    assert list(cache.iterdir()) == [found.folder]
    listed = list_images(DataSource(str(path)))
    assert len(found.full_train) + len(found.test) + len(found.skipped) == len(listed.labels)
    for split in (found.train, found.val, found.test):
        assert len(split.images) == len(split) > 0
        assert set(split.labels.tolist()) <= set(range(len(found.classes)))
    return found


@fuzz(20, found=st.lists(st.tuples(PLACES, FILES, IMAGES), max_size=6), stream=st.booleans())
def test_data_folder(found, stream):
    with folder() as place:
        write_tree(place / "tree", found)
        before = contents(place / "tree")
        prepare(place / "tree", place, stream)
        assert contents(place / "tree") == before


COLUMNS = [
    (pa.binary(), IMAGES),
    (pa.large_binary(), IMAGES),
    (pa.binary_view(), IMAGES),
    (pa.binary(4), st.just(b"1234")),
    (pa.list_(pa.binary()), st.lists(IMAGES, max_size=2)),
    (pa.struct({"bytes": pa.binary()}), st.fixed_dictionaries({"bytes": IMAGES | st.none()})),
    (pa.struct({"bytes": pa.string()}), st.fixed_dictionaries({"bytes": st.text(max_size=3)})),
    (pa.struct({"path": pa.string()}), st.fixed_dictionaries({"path": st.text(max_size=3)})),
    (pa.string(), st.text(max_size=5)),
    (pa.string_view(), st.text(max_size=3)),
    (pa.int64(), st.integers(-2, 5) | st.integers(-(2**63), 2**63 - 1)),
    (pa.int8(), st.integers(0, 3)),
    (pa.uint64(), st.integers(0, 2**64 - 1)),
    (pa.float32(), st.floats(width=32)),
    (pa.bool_(), st.booleans()),
    (pa.date32(), st.dates()),
    (pa.null(), st.none()),
    (pa.dictionary(pa.int8(), pa.string()), st.sampled_from(["cat", "dog"])),
    (pa.dictionary(pa.int8(), pa.int64()), st.integers(0, 2)),
]


@st.composite
def columns(draw, rows):
    kind, values = draw(st.sampled_from(COLUMNS))
    if draw(st.booleans()):
        values = st.none() | values
    return pa.array(draw(st.lists(values, min_size=rows, max_size=rows)), kind)


SOUND_IMAGES = st.just(pa.array([png(number=i) for i in range(30)]))
SOUND_LABELS = st.sampled_from([pa.array([0, 1, 2] * 10), pa.array(["cat", "dog", "eel"] * 10)])
COLUMN_NAMES = st.lists(st.sampled_from(["image", "label", "x", ""]), min_size=2, max_size=3)


@fuzz(
    30,
    names=st.just(["image", "label"]) | COLUMN_NAMES,
    data=st.data(),
    damage=st.none() | st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=4) | st.none()),
    classes=st.none() | st.text(max_size=20).map(str.encode) | JSON.map(lambda v: _stored(v).encode())
    | st.lists(st.text(max_size=3), max_size=5).map(lambda v: json.dumps(v).encode()) | st.binary(max_size=5),
    stream=st.booleans(),
)  # fmt: skip
def test_parquet(names, data, damage, classes, stream):
    arrays = [data.draw((SOUND_IMAGES if name == "image" else SOUND_LABELS) | columns(30)) for name in names]
    with folder() as place:
        file = place / "set.parquet"
        pq.write_table(pa.Table.from_arrays(arrays, names=names), file)
        content = file.read_bytes()
        if damage is not None:
            at, new = int(damage[0] * (len(content) - 1)), damage[1]
            file.write_bytes(content[:at] if new is None else content[:at] + new + content[at + len(new) :])
        if classes is not None:
            (place / "classes.json").write_bytes(classes)
        before = contents(place)
        prepare(file, place, stream)
        after = contents(place)
        assert {name: after[name] for name in before} == before


@pytest.mark.parametrize("depth", [500, 990, 100_000])
def test_deeply_nested_classes(tmp_path, depth):
    labels = pa.array([0, 1] * 10)
    pq.write_table(pa.table({"image": [png()] * 20, "label": labels}), tmp_path / "set.parquet")
    (tmp_path / "classes.json").write_text("[" * depth + "]" * depth)
    with pytest.raises(DataError, match=r"classes\.json"):
        list_images(DataSource(str(tmp_path / "set.parquet")))


@fuzz(50, text=st.text(max_size=30))
def test_name_of_data(text):
    assume(text != "digits")
    with suppress(DataError), folder() as place:
        prepare_data(DataSource(str(place / "x") + text), place / "cache")


# --- specs ------------------------------------------------------------------------------------------------------------


def read_spec(data):
    try:
        spec = spec_from_json(data)
    except SpecError:
        return
    written = spec_to_json(spec)
    again = spec_from_json(json.loads(json.dumps(written)))
    assert spec_to_json(again) == written
    assert spec_hash(again) == spec_hash(spec)


@fuzz(100, data=JSON | st.dictionaries(st.sampled_from(["kind", "source", "blocks", "stem"]), JSON))
def test_spec_of_any_json(data):
    read_spec(data)


def paths_in(value, path=()):
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from paths_in(inner, (*path, key))


SPECS = [spec_to_json(zoo_spec(name)) for name in list(zoo)[:4]]


@fuzz(150, data=st.data(), spec=st.sampled_from(SPECS), value=JSON, how=st.sampled_from(["put", "remove", "add"]))
def test_changed_spec(data, spec, value, how):
    spec = json.loads(json.dumps(spec))
    *path, last = data.draw(st.sampled_from([path for path in paths_in(spec) if path]))
    inner = spec
    for key in path:
        inner = inner[key]
    if how == "put":
        inner[last] = value
    elif how == "remove":
        del inner[last]
    elif isinstance(inner, dict):
        inner[data.draw(st.text(max_size=5))] = value
    else:
        inner.insert(last, value)
    read_spec(spec)


UNPRINTABLE = {"deep": nested(900), "deeper": nested(5000), "long": 16**5000, "list": [16**5000]}


@pytest.mark.parametrize("value", UNPRINTABLE.values(), ids=UNPRINTABLE)
def test_unprintable_spec(value):
    for data in (value, {"kind": "foreign", "source": value}, {"kind": "foreign", "source": "a:b", "x": value}):
        with pytest.raises(SpecError):
            spec_from_json(data)


@fuzz(50, content=st.binary(max_size=60) | st.text(max_size=30).map(str.encode)
      | st.integers(1, 5000).map(lambda n: b"[" * n + b"]" * n)
      | st.integers(1, 5000).map(lambda n: b'{"kind":' * n + b"1" + b"}" * n))  # fmt: skip
def test_spec_file(content):
    with folder() as place:
        (place / "spec.json").write_bytes(content)
        with pytest.raises(SpecError):
            load_spec(place / "spec.json")
        assert contents(place) == {"spec.json": content}


# --- configuration and command line -----------------------------------------------------------------------------------

BASE = {"name": "s", "task": {"data": "digits"}}
SECTIONS = {
    "task": ("name", "data", "resolution", "train_images", "stream"), "table": ("file", "metric", "latency", "quality"),
    "space": ("name", "width", "variant"), "strategy": ("name", "goals", "prior", "initial", "batch"),
    "objective": ("reward", "limits"), "recipe": ("name", "epochs", "lr"), "executor": ("name", "workers"),
    "budget": ("trials", "seconds", "trial_seconds", "fidelity", "screen"), "recorded": ("digest", "validation"),
    "device": tuple(field.name for field in fields(DeviceConfig)),
}  # fmt: skip
SETTINGS = st.sampled_from([*SECTIONS, "name", "seed", "torch_device", "baselines", "models"])


@st.composite
def section_values(draw):
    """A section with true and false names and values, or anything else in its place."""
    name = draw(SETTINGS)
    known = st.sampled_from(SECTIONS.get(name, ("x",)))
    section = st.dictionaries(known | st.text(max_size=5), VALUES | JSON | st.text(max_size=8), max_size=3)
    value = draw(section | st.lists(section, max_size=2) | VALUES | JSON)
    return name, value


@example(changed=[("task", {"resolution": 16**3600})], other={})
@example(changed=[("seed", 16**3600)], other={})
@fuzz(200, changed=st.lists(section_values(), max_size=3), other=st.dictionaries(st.text(max_size=5), JSON, max_size=1))
def test_configuration(changed, other):
    try:
        config = config_from_json({**BASE, **dict(changed), **other})
    except ParetonasError:
        return
    again = config_from_json(json.loads(json.dumps(config_to_json(config))))
    assert repr(config_to_json(again)) == repr(config_to_json(config))  # NaN is not equal to itself


TOML = (
    st.text(max_size=60).map(lambda text: text.encode(errors="replace"))
    | st.binary(max_size=40)
    | st.integers(1, 6000).map(lambda n: b"seed = 0x" + b"f" * n)
    | st.tuples(SETTINGS, VALUES).map(lambda pair: f"{pair[0]} = {_json(pair[1])}".encode(errors="replace"))
)


def _json(value):
    return hex(value) if isinstance(value, int) and abs(value) > 2**200 else json.dumps(value)


@fuzz(100, content=TOML)
def test_toml_file(content):
    with folder() as place:
        (place / "search.toml").write_bytes(content)
        with suppress(ParetonasError):
            config_from_json(BASE | read_toml(place / "search.toml"))
        assert contents(place) == {"search.toml": content}


@pytest.mark.parametrize("depth", [500, 990, 100_000])
def test_deeply_nested_toml(tmp_path, depth):
    (tmp_path / "search.toml").write_text("seed = " + "[" * depth + "]" * depth)
    with pytest.raises(UsageError):
        config_from_json(BASE | read_toml(tmp_path / "search.toml"))


@fuzz(150, text=st.text(max_size=12) | st.from_regex(r"[0-9.hms ]{1,12}") | st.from_regex(r"\d+(\.\d+)?[hms]"))
def test_duration(text):
    try:
        seconds = read_seconds(text)
    except UsageError:
        return
    assert isinstance(seconds, float)
    assert seconds > 0


@fuzz(150, text=st.text(max_size=20) | st.tuples(st.text(max_size=5) | st.sampled_from(["params", "macs"]), VALUES).map(
    lambda pair: f"{pair[0]}<={_text(pair[1])}"))  # fmt: skip
def test_limit(text):
    with suppress(UsageError):
        assert Limit.parse(text).bound > 0


def _text(value):
    return hex(value) if isinstance(value, int) and abs(value) > 2**200 else str(value)


@st.composite
def plugin_texts(draw, registry):
    """`name:option=value,…` with true and false names, options and values."""
    name = draw(st.sampled_from(list(registry)) | st.text(max_size=8))
    known = [option.partition("=")[0] for option in describe_options(registry.load(name))] if name in registry else []
    options = st.sampled_from(known) | st.text(max_size=5) if known else st.text(max_size=5)
    pairs = st.tuples(options, st.sampled_from(["=", "=", "=", ""]), VALUES.map(_text))
    written = ",".join("".join(pair) for pair in draw(st.lists(pairs, max_size=3)))
    return f"{name}:{written}" if written else name


@fuzz(300, data=st.data(), registry=st.sampled_from(REGISTRIES))
def test_plugin(data, registry):
    text = data.draw(plugin_texts(registry))
    try:
        registry.create(text)
    except ParetonasError:
        return
    assert text.partition(":")[0].strip() in registry


DEVICES = st.tuples(
    plugin_texts(runtimes), st.sampled_from(["", "@", "@@"]), plugin_texts(transports) | st.text(max_size=8)
)


@fuzz(150, text=st.text(max_size=20) | DEVICES.map("".join))
def test_device(text):
    with suppress(ParetonasError):
        device = parse_device(text)
        assert text.strip().endswith(device.text)


# --- store ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sound_store(tmp_path_factory):
    path = tmp_path_factory.mktemp("store") / "store.db"
    store = Store(path)
    store.create_search("s", {"name": "s", "task": {"data": "digits"}})
    store.add_trials("s", [some_trial(0), some_trial(1)])
    store.put("kind", {"a": 1}, {"b": 2})
    store.close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")  # one file that can be copied
    connection.close()
    return path


CELLS = [("searches", name) for name in ("id", "name", "config", "created", "seconds")]
CELLS += [("trials", name) for name in (
    "search", "number", "space", "choices", "spec_hash", "state", "metrics", "evidence", "reward", "fidelity", "seed",
    "context", "error", "is_reused", "told", "seconds",
)]  # fmt: skip
CELLS += [("evaluations", name) for name in ("id", "kind", "key", "value", "created")] + [("schema", "version")]
STORED = (
    st.none()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats()
    | st.text(max_size=10)
    | st.binary(max_size=10)
    | JSON.map(lambda value: _stored(value))
    | st.integers(900, 3000).map(lambda depth: "[" * depth)
    | st.sampled_from(["[0, 1.5]", "[true]", '{"accuracy": true}', "running", "NaN", "1" * 50])
)


def _stored(value):
    try:
        return json.dumps(value)
    except ValueError:  # a number too long to be written
        return "0"


def dump(path):
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
        connection.text_factory = bytes
        rows = [(table, connection.execute(f"SELECT * FROM {table} ORDER BY rowid").fetchall()) for table, _ in CELLS]
    connection.close()
    return repr(rows)


def read_all(store):
    """Everything that can be read, each by itself; what is read has the right types."""
    with suppress(StoreError):
        for summary in store.searches():
            assert isinstance(summary, SearchSummary)
            assert isinstance(summary.name, str)
            assert isinstance(summary.created, str)
            assert isinstance(summary.seconds, int | float)
    with suppress(StoreError):
        assert isinstance(store.config("s"), dict)
    with suppress(StoreError):
        assert isinstance(store.seconds("s"), float)
    with suppress(StoreError):
        assert isinstance(store.get("kind", {"a": 1}), dict | None)
    with suppress(StoreError):
        assert all(isinstance(part, dict) for pair in store.evaluations("kind") for part in pair)
    with suppress(StoreError):
        for trial in store.trials("s"):
            check_types(trial)


def check_types(trial):
    assert isinstance(trial, Trial)
    whole = (trial.number, trial.seed, *trial.architecture.choices, *([] if trial.told is None else [trial.told]))
    assert all(type(value) is int for value in whole)
    assert all(type(value) in (int, float) for value in (trial.fidelity, trial.seconds, *trial.metrics.values()))
    assert trial.reward is None or type(trial.reward) in (int, float)
    assert all(isinstance(value, str) for value in (trial.spec_hash, trial.architecture.space))
    assert trial.error is None or isinstance(trial.error, str)
    assert isinstance(trial.state, State)
    assert isinstance(trial.is_reused, bool)
    assert isinstance(trial.context, dict)
    assert all(isinstance(id, str | None) for id in trial.evidence.values())


@fuzz(60, cell=st.sampled_from(CELLS), value=STORED, as_text=st.booleans())
def test_cell_of_a_store(sound_store, cell, value, as_text):
    (table, column) = cell
    with folder() as place:
        path = place / "store.db"
        path.write_bytes(sound_store.read_bytes())
        with suppress(sqlite3.IntegrityError), sqlite3.connect(path) as connection:  # what the schema itself refuses
            new = "CAST(? AS TEXT)" if as_text and isinstance(value, bytes) else "?"
            connection.execute(f"UPDATE {table} SET {column} = {new} WHERE rowid = 1", (value,))
        connection.close()
        before = dump(path)
        with suppress(StoreError):
            store = Store(path)
            read_all(store)
            store.close()
        assert dump(path) == before


@fuzz(30, at=st.floats(0, 1), new=st.binary(min_size=1, max_size=50), cut=st.booleans())
def test_damaged_store_file(sound_store, at, new, cut):
    content = sound_store.read_bytes()
    begin = int(at * (len(content) - 1))
    content = content[:begin] if cut else content[:begin] + new + content[begin + len(new) :]
    with folder() as place:
        (place / "store.db").write_bytes(content)
        with suppress(StoreError):
            store = Store(place / "store.db")
            read_all(store)
            store.close()
