import pytest

from paretonas.device import transports
from paretonas.space import spaces
from paretonas.store import Store


@pytest.fixture(autouse=True, scope="module")
def abacus():
    """Registers transport and space for these tests alone, as they are none of ours."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(transports._entries, "abacus", "abacus:Abacus")
        patch.setitem(spaces._entries, "few", "abacus:Few")
        yield


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store.db")
