import shutil
from contextlib import contextmanager

import pytest
from abacus import CONFIG

from paretonas.device import transports
from paretonas.search.search import new_search
from paretonas.space import spaces
from paretonas.store import Store


@contextmanager
def registered():
    """Transport and space are known meanwhile, as they are none of ours."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(transports._entries, "abacus", "abacus:Abacus")
        patch.setitem(spaces._entries, "few", "abacus:Few")
        yield


@pytest.fixture(autouse=True, scope="module")
def abacus():
    with registered():
        yield


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    """The cache of a search of digits: prepared images, and the reference network of 8 pixels."""
    home = tmp_path_factory.mktemp("prepared")
    with registered():
        new_search(CONFIG, Store("sqlite://"), home)
    return home / "cache"


@pytest.fixture
def store(tmp_path, prepared):
    """In a home that has a cache already."""
    shutil.copytree(prepared, tmp_path / "cache")
    return Store(tmp_path / "store.db")
