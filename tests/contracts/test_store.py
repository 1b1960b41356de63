import pytest

from paretonas.store import Store
from paretonas.testing.store import OpenStore, StoreContract


class TestSQLite(StoreContract):
    @pytest.fixture
    def open_store(self, tmp_path) -> OpenStore:
        return lambda: Store(tmp_path / "store.db")
