"""The report of hand-made searches: its numbers, what it says for and against a search, and that it is safe to open."""

import hashlib
import json
import re
import tomllib
from base64 import b64encode
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser

import altair as alt
import pytest
import vl_convert
from made import SPACE, ZOO, add, add_baselines, finish, latency, made_store, put_timing, trials

from paretonas.errors import StoreError, UsageError
from paretonas.report.page import write_report
from paretonas.store import Store
from paretonas.trial import State

HOSTILE = "<script>alert('x')</script>\"&amp;"
MOVING = "\x1b[2J\u202e"


@pytest.fixture
def store(tmp_path):
    return made_store(tmp_path)


@pytest.fixture(scope="module")
def usual(tmp_path_factory):
    """The page about the hand-made store, for tests that only read it."""
    home = tmp_path_factory.mktemp("usual")
    return page(made_store(home), home)


@pytest.fixture
def empty(tmp_path):
    return Store(tmp_path / "other.db")


def page(store, home, name="s", compare=(), parts=None):
    path = home / "report.html"
    write_report(path, store, name, home, compare, parts)
    return path.read_text(encoding="utf-8")


def text(html):
    """What a reader sees, in one line."""
    body = re.sub(r"<(script|style)\b.*?</\1>", "", html[html.index("<body") :], flags=re.S)
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", " ", body)))


def specs(html):
    return json.loads(re.search(r'id="chart-specs">(.*?)</script>', html, re.S)[1])


def rows(chart):
    """All rows of all data sets of a chart."""
    return [row for data in chart["datasets"].values() for row in data] if "datasets" in chart else _rows(chart)


def _rows(chart):
    own = chart.get("data", {}).get("values", [])
    return [*own, *(row for layer in chart.get("layer", []) for row in _rows(layer))]


# What it says


def test_headline_compares_with_the_published_networks(usual):
    said = text(usual)
    assert "The best network within the target is trial 2: 60.00 % at 1.5 ms." in said
    # MobileNetV2: 58 % at 2 ms. Trial 1 has 58 % at 1.25 ms: 2 / 1.25. Trial 2: +2 points, 2 / 1.5.
    assert "Trial 1 is 1.60 times faster than mobilenet-v2 x0.5 (58.00 %, 2 ms) at +0.0 points of accuracy." in said
    assert "The best, trial 2, beside it: +2.0 points, 1.33 times faster." in said
    # MnasNet-A1: 60 % at 1.8 ms, as accurate as trial 2: 1.8 / 1.5.
    assert "Trial 2 is 1.20 times faster than mnasnet-a1 x0.5 (60.00 %, 1.8 ms) at +0.0 points of accuracy." in said
    # One standard error with 1,000 images: 100 sqrt(2 * .6 * .4 / 1000).
    assert "One standard error of a difference is 2.2 points with 1,000 validation examples." in said


def test_a_search_that_beats_nothing_says_so(empty, tmp_path):
    add(empty, "s", trials([(0.50, 1.0), (0.58, 2.1)]))
    add_baselines(empty, "s", trials([(0.40, 1.0)], seed=1), trials([(0.58, 2.0), (0.60, 0.5)], ZOO))
    said = text(page(empty, tmp_path))
    assert (
        "Nothing found is faster than mobilenet-v2 x0.5 (58.00 %, 2 ms) at equal or better accuracy. "
        "The best, trial 0, beside it: -8.0 points, 2.00 times faster." in said
    )
    assert "Nothing found is as good as mnasnet-a1 x0.5 (60.00 %, 0.5 ms) in accuracy." in said
    assert "-10.0 points, 2.00 times slower" in said


def test_equally_many_trials_decide_against_random_search(usual):
    # Of the first 3 trials: 60 % at 1.5 ms against 55 % at 1.9 ms.
    assert (
        "The search beats random search, of the first 3 trials of each: 60.00 %, 1.5 ms against 55.00 %, 1.9 ms"
        in text(usual)
    )


def test_random_search_that_wins_is_said_to_win(empty, tmp_path):
    add(empty, "s", trials([(0.50, 1.0), (0.90, 2.5), (0.95, 1.0)]))
    add_baselines(empty, "s", trials([(0.55, 1.9), (0.57, 3.0)], seed=1), trials([(0.58, 2.0)], ZOO))
    assert (
        "Random search wins, of the first 2 trials of each: 55.00 %, 1.9 ms against 50.00 %, 1 ms within the target."
        in text(page(empty, tmp_path))
    )


def test_missing_companions_are_said_to_be_missing(empty, tmp_path):
    add(empty, "s", trials([(0.50, 1.0)]))
    said = text(page(empty, tmp_path))
    assert "No random search stands beside it" in said
    assert "No published networks stand beside it" in said
    assert "times faster" not in said


def test_searches_on_other_data_are_not_compared(empty, tmp_path):
    add(empty, "s", trials([(0.50, 1.0)]))
    other = {"digest": "c0de"}
    add(empty, "o", trials([(0.10, 1.0)], seed=1), recorded=other, recipe={"epochs": 9}, task={"resolution": 64})
    said = text(page(empty, tmp_path, compare=["o"]))
    assert "o is not compared: it differs in data or splits, recipe, resolution." in said
    assert "The search beats" not in said


def test_no_network_within_the_target_is_said(empty, tmp_path):
    add(empty, "s", trials([(0.50, 3.0), (0.6, 4.0)]))
    assert "No network is within the target. The fastest is trial 0: 50.00 % at 3 ms." in text(page(empty, tmp_path))


def test_totals_are_those_of_the_trials(usual):
    # Latencies 1, 1.25, 1.5, 2.5 against a target of 2: three within, none near it, median 1.375.
    # Budgets up to 4 ms: 0 to 1 ms buy nothing, then .5, .58, .6 and from 2.5 on .62.
    frontier = (0.25 * 0.50 + 0.25 * 0.58 + 1.0 * 0.60 + 1.5 * 0.62) / 4
    line = f"s 4 4 60.00 %, 1.5 ms 0.6200 0.5750 0.6200 1.38 ms 75 % 0 % {100 * frontier:.2f} %"
    assert line in text(usual)


def test_a_network_that_is_proposed_twice_is_counted_once(empty, tmp_path):
    made = trials([(0.50, 1.0), (0.6, 1.2)])
    add(empty, "s", [*made, replace(made[1], number=2, told=2)])
    html = page(empty, tmp_path)
    assert "trials ended, of which different networks 3, 2" in text(html)
    assert "All 2 timings" in html


# Finalists


def test_finalists_take_precedence_and_are_not_mixed_with_the_search(store, tmp_path):
    finish(store, tmp_path, "s", store.trials("s")[1], 0.90, 1.3)
    finish(store, tmp_path, "s", store.trials("s")[2], 0.91, 2.1)  # over the target on the record
    finish(store, tmp_path, "s.zoo", store.trials("s.zoo")[0], 0.90, 1.95)
    html = page(store, tmp_path)
    said = text(html)
    final, short = said.index("After the final training"), said.index("By the short training")
    assert final < short
    assert "The best network within the target is trial 1: 90.00 % at 1.3 ms." in said[final:short]
    assert "Trial 1 is 1.50 times faster than mobilenet-v2 x0.5 (90.00 %, 1.95 ms)" in said[final:short]
    assert "The best of 2 finalists is named by the very scores that are shown." in said[final:short]
    assert "mnasnet-a1" not in said[final:short]  # it has no final training
    assert "60.00 %" not in said[final:short]
    assert "Recommended: Trial 1 has the highest accuracy within the target of 2 ms: 90.00 % at 1.3 ms" in said[:final]
    assert "90.00 %" not in said[short : said.index("The front")]
    accuracies = {row["quality"] for row in rows(specs(html)["finals"]) if "group" in row}
    assert accuracies == {90.0, 91.0}


def test_finalists_of_another_recipe_are_not_compared(store, tmp_path):
    finish(store, tmp_path, "s", store.trials("s")[1], 0.90, 1.3)
    finish(store, tmp_path, "s.zoo", store.trials("s.zoo")[0], 0.70, 1.95, recipe={"epochs": 1})
    said = text(page(store, tmp_path))
    final = said[said.index("After the final training") : said.index("By the short training")]
    assert "s.zoo is not compared: it has no network with the same final training." in final
    assert "times faster" not in final


def test_finalists_without_their_file_are_pointed_out(store, tmp_path):
    finish(store, tmp_path, "s", store.trials("s")[1], 0.90, 1.3)
    (tmp_path / "s" / "trial-1.json").unlink()
    assert "The files of finalists 1 are gone" in text(page(store, tmp_path))


def test_a_damaged_file_of_a_finalist_is_named(store, tmp_path):
    finish(store, tmp_path, "s", store.trials("s")[1], 0.90, 1.3)
    (tmp_path / "s" / "trial-1.json").write_text('{"latency": {}}')
    with pytest.raises(StoreError, match=r"metrics, latency, interface, recipe and date, but .*trial-1\.json"):
        page(store, tmp_path)


# Networks, timings, conditions


def test_networks_are_drawn_with_what_their_parts_cost(store, tmp_path):
    best = store.trials("s")[3]
    parts = {"latency_ms": {best.spec_hash: [("stem", 0.125, 0.05), ("block1", 0.75, 0.3)]}}
    html = page(store, tmp_path, parts=parts)
    said = text(html)
    places = [said.index(f"Trial {n} {store.trials('s')[n].spec_hash}") for n in (2, 3, 1)]  # the recommended one first
    assert places == sorted(places)
    assert f"Trial 0 {store.trials('s')[0].spec_hash}" not in said  # three of four are drawn
    # 3x3 from 3 channels to 16: 432 weights and 32 of the normalization; 1024 places.
    assert "stem conv 3x3 16 x 32 x 32 464 442.4 k 0.125 ms" in said
    assert "width: 30.0%; --c: #c0392b" in html
    assert said.count("0.75 ms") == 1


def test_timings_are_counted_with_their_flags(empty, tmp_path):
    made = trials([(0.5, 1.0), (0.6, 1.2), (0.7, 1.4)])
    add(empty, "s", made, timed=False)
    put_timing(empty, made[0], latency(1.0, ("contended", "preempted"), attempts=3))
    put_timing(empty, made[1], latency(1.2, attempts=2, spread=0.1))
    html = page(empty, tmp_path)
    # Ratios 1.2 (0.9, 0.95, 1, 1.05, 1.1): quartiles at 0.925 and 1.075, so a spread of 15 %; the median of 0 and 15 %.
    line = "s 2 1 1 contended , 1 preempted 2 5 7.5 % 15.0 % 1 trials: 2"
    assert line.replace(" ,", ",") in text(html).replace(" ,", ",")
    states = [row["state"] for row in rows(specs(html)["spread"])]
    assert sorted(states) == ["flagged", "without flags"]


def test_failed_and_pruned_trials_give_their_reasons(empty, tmp_path):
    made = trials([(0.5, 1.0), (0.6, 1.2)])
    gone = [
        replace(made[0], state=State.PRUNED, metrics={"params": 3e6}, reward=0.0, error="params over the limit 2e6"),
        replace(
            made[1], state=State.FAILED, metrics={}, reward=None, error="Traceback\n  line\nTrainingError: loss is nan"
        ),
    ]
    add(empty, "s", gone)
    html = page(empty, tmp_path)
    said = text(html)
    assert "No trial is complete" in said
    assert "1 pruned, 1 failed." in said
    assert "s 0 pruned params over the limit 2e6" in said
    assert "s 1 failed TrainingError: loss is nan" in said
    assert "<script" not in html  # nothing to draw


def test_conditions_and_calibration_are_those_of_the_timings(usual):
    said = text(usual)
    assert "cpu abacus" in said
    assert "version 1.31" in said
    assert "cpu abacus, runtime Engine('') 3 x 32 x 32 1 ms 1.0000 0.0 % none 1 5 2026-11-25T00:51:23+00:00" in said


def test_toml_of_the_report_repeats_the_search(store, tmp_path):
    html = page(store, tmp_path)
    written = unescape(re.search(r"<pre>(.*?)</pre>", html[html.index("To repeat it") :], re.S)[1])
    assert tomllib.loads(written) == {k: v for k, v in store.config("s").items() if k != "recorded"}


# Charts


def test_every_chart_is_valid_and_can_be_drawn(store, tmp_path):
    finish(store, tmp_path, "s", store.trials("s")[1], 0.90, 1.3)
    html = page(store, tmp_path, compare=["s.random"])
    charts = specs(html)
    assert set(charts) == {"front", "finals", "latency", "quality", "reward", "ratio", "spread"}
    for name, chart in charts.items():
        alt.LayerChart.from_dict(chart)  # raises where the schema is broken
        assert f'id="chart-{name}"' in html
        drawn = vl_convert.vegalite_to_svg({**chart, "width": 400})
        assert drawn.count("<path") > 3, name


def test_front_shows_all_searches_with_the_names_of_published_networks(usual):
    front = [row for row in rows(specs(usual)["front"]) if "group" in row]
    counts = {group: sum(row["group"] == group for row in front) for group in {row["group"] for row in front}}
    assert counts == {"front of the search": 4, "random search": 3, "published networks": 2}
    assert {row["name"] for row in front} == {"", "mobilenet-v2 x0.5", "mnasnet-a1 x0.5"}


def test_rewards_and_shares_are_computed_from_the_trials(usual):
    charts = specs(usual)
    best = [row["value"] for row in rows(charts["reward"]) if row["search"] == "s" and "trial" not in row]
    assert best == [0.50, 0.58, 0.60, 0.62]
    shares = {round(row["ratio"], 3): row["share %"] for row in rows(charts["ratio"]) if row.get("search") == "s"}
    # Over the target: .5, .625, .75, 1.25, in quarters of an octave: from 2^-4/4, 2^-3/4, 2^-2/4 and 2^1/4.
    assert {k: v for k, v in shares.items() if v} == {0.5: 25, 0.595: 25, 0.707: 25, 1.189: 25}


def test_the_target_is_in_the_chart_though_all_miss_it(empty, tmp_path):
    add(empty, "s", trials([(0.5, 5.0), (0.6, 8.0)]))
    chart = specs(page(empty, tmp_path))["ratio"]
    assert chart["layer"][0]["encoding"]["x"]["scale"]["domain"][0] == 1.0


# Safety


class Loads(HTMLParser):
    """Collects what a browser would fetch, and the scripts that it would run."""

    def __init__(self):
        super().__init__()
        self.fetched, self.scripts, self.handlers, self._is_script = [], [], [], False

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.fetched += [v for k, v in attrs if k in ("src", "srcset", "data", "action", "poster", "background")]
        self.fetched += [given["href"]] if tag != "a" and "href" in given else []
        self.handlers += [k for k, _ in attrs if k.startswith("on")]
        if tag in ("iframe", "object", "embed", "base", "form"):
            self.fetched.append(tag)
        self._is_script = tag == "script" and given.get("type", "") != "application/json"

    def handle_data(self, data):
        if self._is_script:
            self.scripts.append(data)
            self._is_script = False


def test_page_loads_nothing_and_runs_its_own_two_scripts_only(usual):
    found = Loads()
    found.feed(usual)
    assert found.fetched == []
    assert found.handlers == []
    policy = unescape(re.search(r'Content-Security-Policy" content="([^"]*)"', usual)[1])
    hashes = [f"'sha256-{b64encode(hashlib.sha256(s.encode()).digest()).decode()}'" for s in found.scripts]
    assert len(hashes) == 2
    assert policy.startswith("default-src 'none'; script-src " + " ".join(hashes) + ";")
    assert not re.search(r"url\(|@import", re.sub(r"<script\b.*?</script>", "", usual, flags=re.S))


def test_hostile_text_is_shown_and_not_run(empty, tmp_path):
    made = trials([(0.5, 1.0), (0.6, 1.2)])
    failed = replace(made[1], state=State.FAILED, reward=None, metrics={}, error=f"DataError: class {HOSTILE}{MOVING}")
    settings = {
        "task": {"data": f"/photos/{HOSTILE}"},
        "strategy": {"name": HOSTILE + MOVING, HOSTILE: HOSTILE + MOVING},
    }
    add(empty, "s", [made[0], failed], timed=False, device=[{"device": HOSTILE + MOVING, "target_ms": 2.0}], **settings)
    timing = replace(latency(1.0), conditions={HOSTILE: HOSTILE + MOVING, "date": HOSTILE}, flags=(HOSTILE,))
    put_timing(empty, made[0], timing)
    html = page(empty, tmp_path)
    assert "\x1b" not in html
    assert text(html).count("\\x1b") >= 5
    assert html.count(HOSTILE) == 0
    assert html.count("<script") == 3
    assert f"DataError: class {HOSTILE}" in text(html)
    assert specs(html)["spread"]


def test_a_search_that_found_one_within_the_target_does_not_begin_with_none(store, tmp_path):
    finish(store, tmp_path, "s", store.trials("s")[2], 0.91, 2.1)  # over the target on the record
    said = text(page(store, tmp_path))
    short, final = said.index("By the short training"), said.index("After the final training")
    assert short < final
    assert said.index("Recommended: Trial 1 has the highest accuracy within the target of 2 ms: 58.00 %") < short
    assert "No finalist is within the target; this one is not trained to the end yet." in said[:short]
    assert "paretonas train s --final --trial 1" in said[:short]
    assert "No network is within" not in said
    assert "No finalist is within the target. The fastest is trial 2: 91.00 % at 2.1 ms." in said[final:]


# What cannot be


def test_a_search_without_an_ended_trial_is_refused(empty, tmp_path):
    add(empty, "s", [])
    with pytest.raises(UsageError, match=r"none of its 0: `paretonas resume s`"):
        page(empty, tmp_path)
    add(empty, "w", [replace(t, state=State.WAITING, metrics={}, told=None) for t in trials([(0.5, 1.0)])])
    with pytest.raises(UsageError, match="none of its 1"):
        page(empty, tmp_path, "w")
    assert not (tmp_path / "report.html").exists()


def test_wrong_files_and_names_are_refused(store, tmp_path):
    with pytest.raises(UsageError, match=r"written as \.html"):
        write_report(tmp_path / "r.pdf", store, "s", tmp_path)
    with pytest.raises(UsageError, match="folder that exists"):
        write_report(tmp_path / "no" / "r.html", store, "s", tmp_path)
    with pytest.raises(StoreError, match=r"No search is called 'other'.*Known: s, s.random, s.zoo"):
        page(store, tmp_path, compare=["other"])


def test_a_space_that_is_not_installed_is_no_obstacle(empty, tmp_path):
    made = trials([(0.5, 1.0)])
    add(empty, "s", [replace(made[0], architecture=replace(made[0].architecture, space="gone:x=1"))])
    assert "It cannot be drawn" in page(empty, tmp_path)


def test_a_search_without_a_target_is_reported_by_its_quality(empty, tmp_path):
    add(empty, "s", trials([(0.5, 1.0), (0.7, 9.0)], SPACE), device=[{"device": "onnxruntime"}])
    html = page(empty, tmp_path)
    assert "The best network is trial 1: 70.00 % at 9 ms." in text(html)
    assert "ratio" not in specs(html)


def test_what_a_strategy_foretold_stands_beside_what_came_out(empty, tmp_path):
    made = [replace(t, context={"predicted": t.reward}) for t in trials([(0.1 * i, 1.0) for i in range(1, 7)])]
    add(empty, "s", made)
    found = text(page(empty, tmp_path))
    assert "What the strategy foretold" in found
    assert f"{len(made[0].architecture.choices)} 6 +1.00 +1.00 to +1.00 +1.00" in found
    assert "What the strategy foretold" not in text(page(made_store(tmp_path / "none"), tmp_path / "none"))
