"""The command line from the first search to the exported file, on digits."""

import json
import re
import sys

import onnxruntime
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from paretonas import cli
from paretonas.space.scaling import grid
from paretonas.store import Store

TINY = "search:epochs=0.05,batch_size=64,layout=channels-last,precision=float32"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("home")
    store = Store(folder / "store.db")
    store.put("calibration", {}, {})  # makes it
    store.close()
    return folder


@pytest.fixture
def paretonas(home, monkeypatch, capsys):
    """Runs the command and returns (exit code, standard output, standard error)."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["paretonas", "--home", str(home), *map(str, words)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        captured = capsys.readouterr()
        return end.value.code or 0, captured.out, captured.err

    return run


@pytest.fixture
def searched(home, paretonas):
    if not (home / "store.db").exists() or '"first"' not in paretonas("list", "--json")[1]:
        code, out, err = paretonas(
            "search", "first", "--data", "digits", "--width", "0.25", "--trials", "4", "--strategy", "random",
            "--recipe", TINY, "--executor", "serial", "--torch-device", "cpu",
        )  # fmt: skip
        assert code == 0, err
        assert "a trial costs about" in out
        assert "Pareto front of first" in out
        assert "paretonas train first --final" in out
    return "first"


def test_an_option_of_all_commands_after_one_is_told_its_place(paretonas):
    code, _, err = paretonas("list", "--store", "sqlite:///here.db")
    assert code == 2
    assert err == "error: --store stands before the command: paretonas --store … list …\n"


def test_list_and_show_tell_what_was_searched(paretonas, searched):
    code, out, _ = paretonas("list", "--json")
    assert code == 0
    assert json.loads(out)[0]["trials"] == {"complete": 4}
    assert "first" in paretonas("list")[1]
    shown = json.loads(paretonas("show", "first", "--json")[1])
    assert shown["config"]["device"][0]["target_ms"] > 0
    assert shown["config"]["recorded"]["validation"] == 287
    assert [t["state"] for t in shown["trials"]] == ["complete"] * 4
    one = json.loads(paretonas("show", "first", "--trial", "2", "--json")[1])
    assert one["spec"]["kind"] == "mnasnet"
    assert "accuracy" in paretonas("show", "first", "--trial", "2")[1]
    assert paretonas("show", "first")[1].count("complete") == 4


def test_show_writes_parquet_and_a_configuration_that_repeats_the_search(paretonas, searched, tmp_path):
    assert paretonas("show", "first", "--parquet", tmp_path / "t.parquet")[0] == 0
    table = pq.read_table(tmp_path / "t.parquet")
    assert table.num_rows == 4
    assert {"trial", "accuracy", "latency_ms", "choices", "reward"} <= set(table.column_names)
    toml = paretonas("show", "first", "--toml")[1]
    (tmp_path / "again.toml").write_text(toml.replace('"first"', '"again"'))
    code, out, err = paretonas("search", "--config", tmp_path / "again.toml", "--json")
    assert code == 0, err
    *again, last = [json.loads(line) for line in out.splitlines()]
    assert last == {
        "search": "again",
        "recommended": json.loads(paretonas("show", "again", "--json")[1])["recommended"],
    }
    first = json.loads(paretonas("show", "first", "--json")[1])["trials"]
    assert all(t["is_reused"] for t in again)
    assert [t["reward"] for t in again] == [t["reward"] for t in first]
    assert paretonas("delete", "again", "--yes")[0] == 0


def test_proxies_say_what_untrained_metrics_are_worth(paretonas, searched):
    code, _, err = paretonas("proxies", "first")
    assert code == 2
    assert "5 different complete networks" in err
    assert paretonas("resume", "first", "--trials", "5", "--json")[0] == 0
    found = json.loads(paretonas("proxies", "first", "--json")[1])
    assert len(found["networks"]) == 5
    assert {"synflow", "jacobian_covariance", "gradient_norm", "params", "macs"} == found["correlations"].keys()
    assert all(-1 <= one["low"] <= one["high"] <= 1 for one in found["correlations"].values())
    code, out, _ = paretonas("proxies", "first", "--trials", "5")
    assert code == 0
    assert "5 networks of first" in out
    assert paretonas("delete", "first", "--yes")[0] == 0


@pytest.mark.parametrize("suffix", ["png", "svg", "html"])
def test_front_is_printed_and_drawn(paretonas, searched, tmp_path, suffix):
    path = tmp_path / f"front.{suffix}"
    code, out, _ = paretonas("front", "first", "--plot", path)
    assert code == 0
    assert "Pareto front of first" in out
    if suffix == "png":
        with Image.open(path) as image:
            assert image.size[0] > 600
    else:
        assert "accuracy" in path.read_text()
    found = json.loads(paretonas("front", "first", "--json")[1])
    front = found["front"]
    accuracies = [t["accuracy"] for t in front]
    latencies = [t["latency_ms"] for t in front]
    assert accuracies == sorted(accuracies)
    assert latencies == sorted(latencies)


def test_final_training_gives_a_file_that_scores_like_its_model(paretonas, searched, home):
    words = ("train", "first", "--final", "--top", "1", "--recipe", "small-image:epochs=0.1,batch_size=64", "--json")
    code, out, err = paretonas(*words)
    assert code == 0, err
    (found,) = json.loads(out)["finalists"]
    assert found["metrics"]["exported_accuracy"] == pytest.approx(found["metrics"]["test_accuracy"], abs=0.002)
    session = onnxruntime.InferenceSession(found["files"]["onnx"])
    assert session.get_inputs()[0].shape[1:] == [1, 8, 8]
    info = json.loads((home / "first" / f"trial-{found['trial']}.json").read_text())
    assert info["interface"]["inputs"] == [{"name": "images", "shape": [1, 1, 8, 8], "dtype": "float32"}]
    assert (info["mean"], info["std"], info["classes"]) == (0.5, 0.25, list("0123456789"))
    assert len(info["latency"][""]["candidate_cpu"]) == 20
    shown = json.loads(paretonas("show", "first", "--trial", found["trial"], "--json")[1])
    assert shown["test_accuracy"] == found["metrics"]["test_accuracy"]
    again = json.loads(paretonas(*words)[1])["finalists"][0]
    assert again["metrics"]["train_seconds"] == found["metrics"]["train_seconds"]  # paid for once
    code, out, _ = paretonas("export", "first", "--trial", found["trial"], "--output", home / "out.onnx")
    assert code == 0
    ran = json.loads(paretonas("measure", home / "out.onnx", "--every", "0", "--runs", "2", "--json")[1])
    assert ran["median_ms"] > 0


def test_scale_lists_efficientnets_grid_with_costs(paretonas, searched, monkeypatch):
    some = [one for one in grid() if one.depth == 1.2]  # all take ten seconds
    monkeypatch.setattr("paretonas.cli.scaling.grid", lambda: some)
    code, out, err = paretonas("scale", "first", "--trial", "0", "--json")
    assert code == 0, err
    rows = {(row["alpha"], row["beta"], row["gamma"]): row for row in json.loads(out)}
    published = rows[1.2, 1.1, 1.15]
    assert (published["depth"], published["width"], published["resolution"]) == (1.2, 1.1, 10)
    assert published["growth"] > 1
    assert paretonas("train", "first", "--scale", "1", "--width", "2")[0] == 2
    assert paretonas("train", "first", "--scale", "1", "--scale-by", "1,2")[0] == 2


def test_resume_raises_the_budget(paretonas, searched):
    code, out, err = paretonas("resume", "first", "--trials", "5")
    assert code == 0, err
    assert "1 of them" in out
    assert len(json.loads(paretonas("show", "first", "--json")[1])["trials"]) == 5


@pytest.mark.slow
def test_measure_takes_names(paretonas):
    found = json.loads(paretonas("measure", "mnasnet-small", "--resolution", "32", "--json")[1])
    assert found["conditions"]["threads"] == 1
    assert found["latency_ms"] == pytest.approx(found["ratio"] * found["reference"]["latency_ms"])


@pytest.mark.slow
def test_measure_takes_files_of_specs_and_other_runtimes(paretonas, tmp_path):
    spec = json.loads(paretonas("zoo", "mnasnet-small", "--json")[1])["spec"]
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    code, out, _ = paretonas("measure", tmp_path / "spec.json", "--resolution", "32", "--device", "torch")
    assert code == 0
    assert " ms" in out


def test_zoo_lists_and_describes(paretonas):
    rows = {row["name"]: row for row in json.loads(paretonas("zoo", "--json")[1])}
    assert {"mnasnet-a1", "mobilenet-v2", "efficientnet-b0"} <= set(rows)
    of_ssdlite = [rows["ssdlite"][key] for key in ("resolution", "classes", "params", "macs", "weight_bytes")]
    assert of_ssdlite == [320, 90, 4_772_466, 782_715_232, 4 * 4_772_466]
    found = json.loads(paretonas("zoo", "mnasnet-a1", "--width", "0.5", "--resolution", "160", "--json")[1])
    assert found["params"] == 2_082_006
    half = json.loads(paretonas("zoo", "mnasnet-a1", "--width", "0.5", "--json")[1])
    assert half["macs"] == 103_162_992
    assert half["macs"] == sum(block["macs"] for block in half["blocks"])
    assert "mbconv6 3x3" in paretonas("zoo", "mnasnet-a1")[1]


def test_cells_are_drawn_into_a_file(paretonas, tmp_path):
    spec = json.loads(paretonas("zoo", "pnasnet-5", "--plot", tmp_path / "cell.svg", "--json")[1])["spec"]
    assert (tmp_path / "cell.svg").read_text().count(">add</text>") == 5
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    paretonas("describe", tmp_path / "spec.json", "--plot", tmp_path / "again.svg")
    assert (tmp_path / "again.svg").read_bytes() == (tmp_path / "cell.svg").read_bytes()


def test_describe_takes_a_spec_or_a_point_of_a_space(paretonas, tmp_path):
    a1 = json.loads(paretonas("zoo", "mnasnet-a1", "--json")[1])
    (tmp_path / "a1.json").write_text(json.dumps(a1["spec"]))
    again = json.loads(paretonas("describe", tmp_path / "a1.json", "--json")[1])
    assert (again["params"], again["macs"], again["spec_hash"]) == (3_887_038, 311_579_072, a1["spec_hash"])
    choices = ",".join(["0"] * 42)
    point = json.loads(paretonas("describe", "--space", "mnasnet", "--choices", choices, "--json")[1])
    assert point["spec"]["blocks"][0]["op"] == "conv"
    assert point["params"] > 0
    assert "block7" in paretonas("describe", "--space", "mnasnet", "--choices", choices)[1]


@pytest.mark.parametrize("command", ["spaces", "strategies", "devices", "recipes", "rewards", "tasks"])
def test_plugins_are_listed_with_their_options(paretonas, command):
    assert json.loads(paretonas(command, "--json")[1])
    assert "=" in paretonas(command)[1]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["search", "x"], "needs data"),
        (["search", "--data", "digits"], "needs a name"),
        (["search", "x", "--data", "no/such/folder"], "digits"),
        (["search", "x", "--data", "digits", "--strategy", "pop"], "Did you mean 'ppo'?"),
        (["search", "x", "--data", "digits", "--time", "soon"], "1h30m"),
        (["search", "x", "--data", "digits", "--device", "onnxruntime@"], "runtime[:options]"),
        (["search", "x", "--config", "missing.toml"], "TOML"),
        (["search", "x", "--data", "digits", "--metric", "acc"], "--metric is of a table"),
        (
            ["search", "x", "--data", "table:t.parquet", "--metric", "acc", "--resolution", "8"],
            "--resolution is of images",
        ),
        (["search", "x", "--data", "table:t.parquet"], "--metric COLUMN"),
        (
            ["search", "x", "--data", "digits", "--space", "nasbench201", "--width", "0.5"],
            "'nasbench201' takes options",
        ),
        (["search", "x", "--data", "digits", "--reward", "power", "--target-ms", "5"], "has no target latency"),
        (["search", "x", "--data", "digits", "--target-ms", "phone=5"], "A target is for a device"),
        (["search", "x", "--data", "digits", "--device", "a=torch", "--device", "onnxruntime"], "a name of its own"),
        (["search", "x", "--data", "digits", "--limit", "accuracy<=0.5"], "known before training"),
        (["search", "x", "--data", "digits", "--limit", "latncy_ms<=5"], "Did you mean 'latency_ms'?"),
        (
            ["search", "x", "--data", "digits", "--strategy", "ppo", "--goals", "accuracy+latency_ms"],
            "maximizes the reward",
        ),
        (["search", "x", "--data", "digits", "--goals", "ap+latency_ms"], "measured here"),
        (["search", "x", "--data", "digits", "--prior", "nobody"], "No search is called 'nobody'"),
        (["resume", "nobody"], "No search is called 'nobody'"),
        (["show", "nobody"], "No search"),
        (["front", "nobody"], "No search"),
        (["train", "nobody"], "No search"),
        (["delete", "nobody", "--yes"], "No search"),
        (["zoo", "mobilenet-v3"], "Did you mean"),
        (["zoo", "mobilenet-v3-small", "--width", "0.6"], "comes in widths"),
        (["zoo", "mnasnet-a1", "--width", "-1"], "multiplier of widths"),
        (["measure", "missing.onnx"], "there is no missing.onnx"),
        (["measure", "mnasnet-a1", "--device", "tflite"], "No runtime is called"),
        (["describe"], "SPEC.json"),
        (["describe", "missing.json"], "cannot be read"),
        (["describe", "--space", "mnasnet", "--choices", "0,1"], "42 decisions"),
        (["describe", "--space", "mnasnet", "--choices", "0,x"], "whole numbers"),
        (["describe", "--space", "mnasnet", "--choices", ",".join(["9"] * 42)], "index from 0 to 3"),
    ],
)
def test_bad_usage_says_the_rule_and_exits_with_2(paretonas, in_this_process, words, says):
    code, _, err = paretonas(*words)
    assert code == 2
    assert says in " ".join(err.split())
    assert "Traceback" not in err


def test_version_is_printed(paretonas):
    assert paretonas("--version")[:2] == (0, "paretonas 0.1.0\n")


def test_unknown_command_and_option_exit_with_2(paretonas):
    assert paretonas("serch")[0] == 2
    assert paretonas("list", "--jsn")[0] == 2


def test_untrained_trial_is_not_exported(paretonas, searched):
    trained = {
        t["trial"] for t in json.loads(paretonas("show", "first", "--json")[1])["trials"] if "test_accuracy" in t
    }
    untrained = next(n for n in range(4) if n not in trained)
    code, _, err = paretonas("export", "first", "--trial", untrained)
    assert code == 2
    assert "train first --trial" in err


@pytest.mark.parametrize(
    "words", [("front", "first", "--plot", "no/x.png"), ("report", "first", "--output", "no/x.html")]
)
def test_a_file_that_cannot_be_written_is_an_error_without_traceback(paretonas, searched, tmp_path, words):
    (tmp_path / "no").write_text("a file where a folder is wanted", encoding="utf-8")
    code, _, err = paretonas(*words[:-1], tmp_path / words[-1])
    assert code == 1
    assert "cannot be written" in err
    assert "Traceback" not in err


def test_figure_of_an_unknown_kind_is_refused(paretonas, searched, tmp_path):
    code, _, err = paretonas("front", "first", "--plot", tmp_path / "front.bmp")
    assert code == 2
    assert ".png, .svg, .html" in err


def test_help_begins_with_what_people_need_first(paretonas):
    code, out, _ = paretonas("--help")
    assert code == 0
    commands = re.findall(r"^│ (\w+) {2,}\S", out[out.index("Commands") :], re.M)
    assert commands[:6] == ["search", "resume", "front", "train", "export", "report"]


def test_metrics_say_which_way_they_are_better(paretonas):
    found = {row["name"]: row for row in json.loads(paretonas("metrics", "--json")[1])}
    assert found["accuracy"]["is_rising"]
    assert not found["latency_ms"]["is_rising"]
    assert found["params"]["known"] == "cost"
    assert "latency (ms)" in paretonas("metrics")[1]


def test_zoo_networks_take_options(paretonas):
    by_option = json.loads(paretonas("zoo", "mnasnet-a1:width=0.5", "--json")[1])
    assert by_option["params"] == 2_082_006


@pytest.fixture
def table(tmp_path):
    rows = [[a, b, c] for a in range(3) for b in range(3) for c in range(3)]
    columns = {"ops": rows, "acc": [0.5 + 0.05 * sum(row) for row in rows], "ms": [1.0 + row[0] for row in rows]}
    pq.write_table(pa.table({**columns, "pi": [3.0 + row[1] for row in rows]}), tmp_path / "toy.parquet")
    return tmp_path / "toy.parquet"


def test_trial_of_a_table_is_shown(paretonas, table):
    words = ("--data", f"table:{table}", "--metric", "acc", "--latency", "ms", "--trials", "6", "--strategy", "random")
    code, _, err = paretonas("search", "tried", *words)
    assert code == 0, err
    code, out, err = paretonas("show", "tried", "--trial", "2", "--json")
    assert code == 0, err
    assert json.loads(out)["accuracy"] > 0
    assert paretonas("show", "tried", "--trial", "2")[0] == 0


def test_two_latencies_of_a_table_stand_in_table_front_and_report(paretonas, table, tmp_path):
    words = ("--data", f"table:{table}", "--metric", "acc", "--latency", "phone=ms", "--latency", "pi=pi")
    code, out, err = paretonas(
        "search", "both", *words, "--trials", "12", "--target-ms", "phone=2", "--target-ms", "pi=4",
        "--limit", "latency_ms.pi<=4.5", "--strategy", "random", "--seed", "1",
    )  # fmt: skip
    assert code == 0, err
    assert "latency on phone" in out
    assert "aiming at 2 ms on phone and 4 ms on pi" in out
    trials = json.loads(paretonas("show", "both", "--json")[1])["trials"]
    complete = [t for t in trials if t["state"] == "complete"]
    assert all(t["latency_ms.pi"] <= 4.5 for t in complete)
    one = complete[0]
    factor = (one["latency_ms.phone"] / 2) ** -0.07 * (one["latency_ms.pi"] / 4) ** -0.07
    assert one["reward"] == pytest.approx(one["accuracy"] * factor)
    front = json.loads(paretonas("front", "both", "--json")[1])["front"]
    assert {"latency_ms.phone", "latency_ms.pi"} <= front[0].keys()
    assert paretonas("report", "both", "--output", tmp_path / "both.html")[0] == 0
    page = (tmp_path / "both.html").read_text()
    assert "phone" in page
    assert "latency_ms.pi&lt;=4.5" in page or "latency_ms.pi<=4.5" in page


def test_name_of_a_baseline_that_is_taken_is_refused_before_anything_runs(paretonas, table):
    words = ("--data", f"table:{table}", "--metric", "acc", "--latency", "ms", "--trials", "3")
    assert paretonas("search", "mine.random", *words, "--strategy", "random")[0] == 0
    code, _, err = paretonas("search", "mine", *words, "--strategy", "local-search", "--baselines")
    assert code == 2
    assert "mine.random" in err
    assert '"mine"' not in paretonas("list", "--json")[1]
