"""Kill -9 in the second step of a morph; resuming trains nothing of the first again, and finds the same widths."""

import json

import pytest
from killed import Killable, with_abacus
from small_networks import SMALL

from paretonas.space import spec_to_json
from paretonas.store import Store
from paretonas.trial import State

QUICK = "layout=channels-last,precision=float32"
STEPS = "SELECT key, value, created FROM evaluations WHERE kind = 'morph' ORDER BY created"
TIMED = ("seconds", "train_seconds", "examples_per_second")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_morph_killed_in_its_second_step_goes_on_to_the_same_widths(tmp_path):
    network, surroundings = tmp_path / "small.json", with_abacus(tmp_path)
    network.write_text(json.dumps(spec_to_json(SMALL)))
    killed, whole = (Killable(tmp_path / name, surroundings) for name in ("killed", "whole"))
    words = (
        "morph", "m", network, "--data", "digits", "--train-images", 200, "--val-images", 200, "--steps", 2,
        "--multiple", 1, "--morph-recipe", f"morph:epochs=12,batch_size=20,warmup=0,lr=1.0,{QUICK}",
        "--recipe", f"search:epochs=1,{QUICK}", "--device", "onnxruntime@abacus", "--executor", "process:workers=1",
    )  # fmt: skip
    killed.end(
        *words, what="the second step",
        when=lambda: len(killed.rows(STEPS)) == 1 and killed.is_learning("m/morph-*"),
    )  # fmt: skip
    assert not killed.rows("SELECT 1 FROM trials")
    first, file = killed.rows(STEPS), killed.home / "m" / "step-1.safetensors"
    written = file.stat().st_mtime_ns
    told = killed.run("resume", "m")
    assert "Step 1: " in told
    assert "step 1: learning" not in told
    assert killed.rows(STEPS)[:1] == first, "what was learned is not stored anew"
    assert file.stat().st_mtime_ns == written
    assert not list(killed.home.rglob("morph-*"))

    whole.run(*words)
    learned, learned_whole = ([_stored(command, kind) for kind in ("morph", "training")] for command in (killed, whole))
    assert learned == learned_whole
    trials, others = (Store(command.home / "store.db").trials("m") for command in (killed, whole))
    assert [trial.state for trial in trials] == [State.COMPLETE] * 3
    assert [trial.architecture for trial in trials] == [trial.architecture for trial in others]
    assert [trial.context for trial in trials] == [trial.context for trial in others]
    assert [trial.metrics["accuracy"] for trial in trials] == [trial.metrics["accuracy"] for trial in others]


def _stored(command, kind):
    """Evaluations of a kind, without how long they took."""
    found = Store(command.home / "store.db").evaluations(kind)
    return [(key, {name: value for name, value in values.items() if name not in TIMED}) for key, values in found]
