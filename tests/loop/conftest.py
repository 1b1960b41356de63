import pytest

from paretonas.store import Store


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store.db")
