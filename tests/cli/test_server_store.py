"""All commands with the store of a server, which may go away in the middle of a search."""

import json
import re
import subprocess
import sys
import time
from contextlib import closing
from itertools import product

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from postgres_server import PASSWORD, QUOTED

from paretonas.store import Store
from paretonas.trial import State


@pytest.fixture
def words(toy_search, new_postgres):
    """The home, and the server's store, before the words of `search t`."""
    return (*toy_search[:2], "--store", new_postgres()), toy_search[2:]


@pytest.mark.slow
def test_commands_take_the_store_of_a_server_and_tell_no_password(words, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store, search = words
    said = [command(*store, "list")]
    assert (said[0].code, "has its first" in said[0].err) == (2, False)
    said.append(command(*store, *search))
    for line in (
        "resume t --trials 6", "list", "list --json", "show t", "show t --trial 0 --json", "show t --toml", "front t",
        "front t --json", "front t --plot front.svg", "report t", "status t", "status t --json",
        "export-store copy.db", "delete t --yes",
    ):  # fmt: skip
        said.append(command(*store, *line.split()))
        assert said[-1].code == 0, (line, said[-1].err)
    assert json.loads(said[-3].out)["ended"] == 6
    refused = [command(*store, *line.split()) for line in ("train t --final", "export t --trial 0", "show t")]
    assert [one.code for one in refused] == [2, 2, 2]
    files = [file.read_bytes().decode(errors="replace") for file in tmp_path.rglob("*") if file.is_file()]
    for text in (*files, *(one.out + one.err for one in (*said, *refused))):
        assert PASSWORD not in text
        assert QUOTED not in text
    assert command("--store", "copy.db", "list", "--json").out.startswith('[{"name": "t"')


def test_what_is_asked_for_most_works_with_the_store_of_a_server(words, command):
    store, search = words
    assert command(*store, "list").code == 2
    for line in ("list --json", "show t", "status t", "front t --json", "delete t --yes"):
        assert command(*store, *(search if line.startswith("list") else line.split())).code == 0, line
    assert command(*store, "list", "--json").out == "[]\n"


def test_a_table_search_is_the_same_in_every_store(words, toy_search, command):
    store, search = words
    assert command(*store, *search).code == command(*toy_search).code == 0
    with closing(Store(store[-1])) as server, closing(Store(toy_search[1] / "store.db")) as file:
        ours, theirs = ([(t.architecture, t.state, t.metrics, t.reward) for t in s.trials("t")] for s in (server, file))
    assert ours == theirs


def start(*words):
    command = [sys.executable, "-m", "paretonas", *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ended(url):
    with closing(Store(url)) as store:
        try:
            return {t.number: t for t in store.trials("s") if t.state is State.COMPLETE}
        except Exception:
            return {}


def wait_for(claim, process):
    deadline = time.monotonic() + 200
    while not claim():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.2)


@pytest.mark.slow
def test_a_search_goes_on_through_a_killed_server_and_cut_connections_and_is_resumed(postgres, new_postgres, tmp_path):
    url = new_postgres()
    here = ("--home", tmp_path, "--store", url)
    process = start(
        *here, "search", "s", "--data", "digits", "--width", "0.25", "--trials", "8", "--target-ms", "1",
        "--strategy", "random", "--recipe", "search:epochs=1,batch_size=64,layout=channels-last,precision=float32",
        "--executor", "process:workers=1",
    )  # fmt: skip
    wait_for(lambda: len(ended(url)) >= 1, process)
    postgres.kill()
    time.sleep(4.0)
    postgres.start()
    before = ended(url)
    assert before
    wait_for(lambda: len(ended(url)) > len(before), process)
    postgres.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'paretonas'")
    second = start(*here, "resume", "s")
    out, err = second.communicate()
    assert second.returncode == 2
    assert f"another one holds 's': process {process.pid} (" in err
    assert PASSWORD not in out + err
    before = ended(url)
    process.kill()  # the runner itself, whose lease has not ended
    process.communicate()
    done = start(*here, "resume", "s")
    out, err = done.communicate()
    assert done.returncode == 0, err
    assert f"Going on in the place of process {process.pid} (" in err
    after = ended(url)
    assert len(after) == 8
    assert {number: after[number] for number in before} == before


@pytest.mark.slow
def test_a_search_whose_server_does_not_come_back_says_how_to_go_on(postgres, new_postgres, tmp_path):
    url, table, trials = new_postgres(), tmp_path / "made.parquet", 2000
    rows = [list(row) for row in product(range(5), repeat=6)]
    pq.write_table(pa.table({"ops": rows, "acc": [0.5 + 0.01 * sum(row) for row in rows]}), table)
    code = "from paretonas.store import postgres; postgres.PATIENCE = 3; from paretonas.cli import main; main()"
    search = ("search", "s", "--data", f"table:{table}", "--metric", "acc", "--strategy", "random", "--trials", trials)
    command = [sys.executable, "-c", code, "--home", tmp_path, "--store", url, *search]
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: len(ended(url)) >= 100, process)
    postgres.kill()
    try:
        out, err = process.communicate(timeout=120)
    finally:
        postgres.start()
    assert process.returncode == 1
    assert "Trying again for 3 s." in err
    assert "See to the server, then go on: nothing that was stored is lost." in err
    before = ended(url)
    assert len(before) >= max(int(number) for number in re.findall(r"trial +(\d+)  complete", out))
    done = start("--home", tmp_path, "--store", url, "resume", "s")
    _, err = done.communicate()
    assert done.returncode == 0, err
    after = ended(url)
    assert len(after) == trials
    assert {number: after[number] for number in before} == before
