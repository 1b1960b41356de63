import pytest

from paretonas.store import Store
from paretonas.testing.store import OpenStore, StoreContract


class TestSQLite(StoreContract):
    @pytest.fixture
    def open_store(self, tmp_path) -> OpenStore:
        return lambda: Store(tmp_path / "store.db")


class TestPostgreSQL(StoreContract):
    @pytest.fixture
    def open_store(self, new_postgres) -> OpenStore:
        url, opened = new_postgres(), []

        def open_one():
            opened.append(Store(url))
            return opened[-1]

        yield open_one
        for store in opened:
            store.close()
