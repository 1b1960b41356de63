import pytest

from paretonas.device import transports
from paretonas.store import Store


@pytest.fixture(autouse=True, scope="module")
def abacus():
    """Registers the transport for these tests alone, as it is none of ours."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(transports._entries, "abacus", "abacus:Abacus")
        yield


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store.db")
