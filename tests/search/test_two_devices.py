"""One search with two devices, real ones: each latency stands in trials, reward, front, report and finalists."""

import json
import sys

import pytest

from paretonas import cli
from paretonas.store import Store

TINY = "search:epochs=0.3,batch_size=64,layout=channels-last,precision=float32"
NAMES = {"latency_ms.one", "latency_ms.two"}


@pytest.fixture
def paretonas(tmp_path, monkeypatch, capsys):
    def run(*words):
        monkeypatch.setattr(sys, "argv", ["paretonas", "--home", str(tmp_path / "home"), *map(str, words)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        captured = capsys.readouterr()
        assert not end.value.code, captured.err
        return captured.out

    return run


@pytest.mark.slow
@pytest.mark.timeout(900)  # a busy machine has timings taken again
def test_each_latency_is_measured_rewarded_drawn_and_reported(paretonas, tmp_path):
    out = paretonas(
        "search", "both", "--data", "digits", "--width", "0.25", "--trials", "3", "--strategy", "random",
        "--device", "one=onnxruntime", "--device", "two=onnxruntime:threads=2", "--target-ms", "one=0.3",
        "--recipe", TINY, "--executor", "serial", "--torch-device", "cpu",
    )  # fmt: skip
    assert "latency on one" in out
    assert "latency on two" in out
    config = json.loads(paretonas("show", "both", "--json"))["config"]
    targets = {device["name"]: device["target_ms"] for device in config["device"]}
    assert targets["one"] == 0.3
    assert targets["two"] > 0
    store = Store(tmp_path / "home" / "store.db")
    for trial in store.trials("both"):
        factors = [(trial.metrics[f"latency_ms.{name}"] / ms) ** -0.07 for name, ms in targets.items()]
        assert trial.reward == pytest.approx(trial.metrics["accuracy"] * factors[0] * factors[1])
        kinds = [store.evaluation(trial.evidence[name]) for name in sorted(NAMES)]
        assert [kind for kind, *_ in kinds] == ["latency", "latency"]
        assert [key["device"]["threads"] for _, key, _ in kinds] == [1, 2]
        assert [value["clock"] for *_, value in kinds] == ["thread", "wall"]
    store.close()
    front = json.loads(paretonas("front", "both", "--json", "--plot", tmp_path / "front.svg"))["front"]
    assert front[0].keys() >= NAMES
    assert "on two" in (tmp_path / "front.svg").read_text()
    paretonas("report", "both", "--output", tmp_path / "both.html")
    page = (tmp_path / "both.html").read_text(encoding="utf-8")
    assert "two=onnxruntime:threads=2" in page
    finalist = json.loads(
        paretonas("train", "both", "--final", "--recipe", "small-image:epochs=0.3,batch_size=64", "--json")
    )["finalists"][0]
    assert finalist["metrics"].keys() >= NAMES
    one = json.loads(paretonas("show", "both", "--trial", finalist["trial"], "--json"))
    assert one.keys() >= {"final_latency_ms.one", "final_latency_ms.two", "test_accuracy", "exported_accuracy"}
