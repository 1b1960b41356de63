"""Who writes into a search or its folder holds it from the beginning of the command."""

import pytest

from paretonas.store import Store


@pytest.mark.parametrize("words", [("train", "s"), ("export", "s", "--trial", "0")])
def test_a_search_that_another_process_holds_is_refused_at_once(made, command, words):
    (made / "s").mkdir()
    (made / "s" / "trial-0.safetensors").write_text("not read")
    with Store(made / "store.db").hold("s"):
        said = command("--home", made, *words)
    assert said.code == 2
    assert "one process at a time, but another one holds 's': process" in " ".join(said.err.split())
