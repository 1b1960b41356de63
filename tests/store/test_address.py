"""One file has many names, and one name is one file, whatever characters it has."""

import os
import traceback

import pytest

from paretonas.errors import StoreError
from paretonas.store import Store
from paretonas.store.address import read_address

ODD = ["a b", "what?", "50%20", "#1", "[x]", "grün", "é", "a&b=c", "file:x", ":memory:", "~", "x\udcff"]


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("write", [str, lambda path: path], ids=["text", "path"])
def test_a_path_is_opened_literally(tmp_path, monkeypatch, name, write):
    monkeypatch.chdir(tmp_path)
    for path in (tmp_path / name / "store.db", tmp_path / f"{name}.db"):
        store = Store(write(path))
        store.create_search("s", {})
        with store.hold("s"):
            assert path.is_file()
            assert path.with_name(f"{path.name}.locks").is_dir()
        store.close()
    assert sorted(os.listdir(tmp_path)) == sorted([name, f"{name}.db", f"{name}.db.locks"])
    relative = Store(f"{name}.db")
    assert [search.name for search in relative.searches()] == ["s"]


@pytest.mark.parametrize("name", ["x.db", "a b.db", "grün.db"])
def test_names_of_one_file_have_one_address(tmp_path, monkeypatch, name):
    path = tmp_path / name
    path.touch()
    (tmp_path / "link.db").symlink_to(path)
    (tmp_path / "folder").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    written = [
        path, str(path), name, f"./empty/../{name}", tmp_path / "link.db", tmp_path / "folder" / name,
        f"sqlite:///{path}", f"sqlite:///{name}", f"sqlite+pysqlite:///{name}", f"sqlite:///{path}?timeout=5",
        f"sqlite:///file:{path}?uri=true", f"sqlite:///{path.as_uri()}?uri=true", "sqlite:///file:link.db?uri=true",
    ]  # fmt: skip
    assert {read_address(one).file for one in written} == {path}


@pytest.mark.parametrize(
    "url",
    ["sqlite://", "sqlite:///:memory:", "sqlite:///file::memory:?uri=true", "sqlite:///file:x?mode=memory&uri=true"],
)
def test_memory_is_no_file(url):
    assert read_address(url).file is None


def test_options_of_a_url_are_kept(tmp_path):
    Store(tmp_path / "x.db").create_search("s", {})
    url = f"sqlite:///{tmp_path / 'x.db'}?timeout=5&cached_statements=7"
    assert read_address(url).url.query["timeout"] == "5"
    assert len(Store(url).searches()) == 1
    assert read_address(f"sqlite:///file:{tmp_path / 'x.db'}?mode=ro&uri=true").url.query["mode"] == "ro"


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("user:secret@here:5433/db", "user:***@here:5433/db"),
        ("user@here/db?password=secret&sslmode=require", "user:***@here/db"),
        ("user:secret%40%2F%3A@here/db", "user:***@here/db"),
        ("/db?host=secret", "/db"),
    ],
)
def test_a_password_is_not_told(scheme, written, shown):
    address = read_address(f"{scheme}://{written}")
    assert (address.file, str(address)) == (None, f"postgresql://{shown}")


@pytest.mark.parametrize(
    "location",
    ["postgresql://user:my secret@part@here/db", "mysql://user:secret@here/db", "postgresql+psycopg2://u:secret@h/db"],
)
def test_what_is_refused_is_shown_without_its_password(location):
    with pytest.raises(StoreError, match=r"\*\*\*@") as caught:
        Store(location)
    assert "secret" not in "".join(traceback.format_exception(caught.value))


def test_an_option_is_given_once():
    """Otherwise none of them would be, and the server would be this machine's."""
    with pytest.raises(StoreError, match="is given once, but host is not; several hosts are written host=one,two"):
        Store("postgresql://me@/nas?host=one&host=two")


@pytest.mark.parametrize("location", ["nonsense", "", "x\0y"])
def test_what_is_no_address_is_refused(tmp_path, monkeypatch, location):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoreError, match="A store is an SQLite file or a database URL"):
        Store(f"{location}://here" if location == "nonsense" else location)
