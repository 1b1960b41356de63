import gc
import time
from dataclasses import replace

import pytest

from paretonas.device.timing import Clocks, Protocol, Samples, clocks_for, headline_flags, time_pairs
from paretonas.errors import UsageError

SECOND = 1.0


class Machine:
    """A wall and a CPU clock that only the work moves."""

    def __init__(self):
        self.wall = 1000.0
        self.cpu = 500.0
        self.log = ""
        self.clocks = Clocks(lambda: self.wall, lambda: self.cpu)

    def work(self, name, *cpu, others=0.0):
        """A run that takes these CPU seconds in turn, the last of them for ever, and others' seconds of wall time."""
        times = list(cpu)

        def run():
            seconds = times.pop(0) if len(times) > 1 else times[0]
            self.log += name
            self.cpu += seconds
            self.wall += seconds + others

        return run


@pytest.fixture
def machine():
    return Machine()


def _time(candidate, reference, protocol, clocks, **clock):
    """Both loaded once."""
    return time_pairs(lambda: candidate, lambda: reference, replace(protocol, loads=1), clocks, **clock)


def test_runs_alternate_after_both_were_warmed_up(machine):
    _time(machine.work("c", 0.5), machine.work("r", 0.25), Protocol(pairs=3), machine.clocks)
    # Once and three times to see how long a run takes, three to settle, then pairs.
    assert machine.log == "cccc" + "rrrr" + "ccc" + "rrr" + "crcrcr"


def test_both_are_loaded_anew_and_warmed_up_for_each_portion_of_the_pairs(machine):
    loaded = []

    def load(name):
        loaded.append(name)
        return machine.work(name, 0.5)

    protocol = Protocol(pairs=7, loads=3)
    samples = time_pairs(lambda: load("c"), lambda: load("r"), protocol, machine.clocks)
    warm_up = "cccc" + "rrrr" + "ccc" + "rrr"
    assert loaded == ["c", "r"] * 3
    assert machine.log == warm_up + "crcrcr" + warm_up + "crcr" + warm_up + "crcr"
    assert samples.candidate_cpu == (0.5,) * 7


@pytest.mark.parametrize(
    ("pairs", "loads", "portions"), [(20, 4, (5, 5, 5, 5)), (10, 4, (3, 3, 2, 2)), (3, 4, (3,)), (2, 1, (2,))]
)
def test_pairs_are_shared_out_two_or_more_a_load(pairs, loads, portions):
    assert Protocol(pairs=pairs, loads=loads).portions == portions


def test_samples_are_the_seconds_of_each_run_on_both_clocks(machine):
    warm_up = [0.5] * 7
    candidate = machine.work("c", *warm_up, 0.5, 1.0, 0.75, others=0.125)
    reference = machine.work("r", *warm_up, 0.25, 0.5, 2.0, others=0.0625)
    samples = _time(candidate, reference, Protocol(pairs=3), machine.clocks)
    assert samples == Samples(
        candidate_wall=(0.625, 1.125, 0.875),
        candidate_cpu=(0.5, 1.0, 0.75),
        reference_wall=(0.3125, 0.5625, 2.0625),
        reference_cpu=(0.25, 0.5, 2.0),
        is_settled=True,
        loads=(3,),
    )


@pytest.mark.parametrize(
    ("seconds", "repeats"),
    [
        (2.0**-9, 1),  # 1.95 ms
        (2.0**-10, 2),  # 0.98 ms: a run of two takes the millisecond asked for
        (2.0**-11, 3),  # 0.49 ms: 2.05 times
        (2.0**-12, 5),  # 0.24 ms: 4.1 times
        (2.0**-30, 1000),  # a nanosecond: never more than a thousand
        (0.0, 1000),
    ],
)
def test_fast_models_are_repeated_inside_a_run(machine, seconds, repeats):
    samples = _time(machine.work("c", seconds), machine.work("r", 1.0), Protocol(pairs=2), machine.clocks)
    assert machine.log == "cccc" + "rrrr" + "c" * 3 * repeats + "rrr" + ("c" * repeats + "r") * 2
    assert samples.candidate_cpu == samples.candidate_wall == (seconds, seconds)
    assert samples.reference_cpu == (1.0, 1.0)


def test_fastest_of_three_runs_decides_on_repeats(machine):
    # A slow first run and two disturbed ones do not hide that the model is fast.
    candidate = machine.work("c", 1.0, 0.5, 2.0**-12, 0.5, 2.0**-12)
    _time(candidate, machine.work("r", 1.0), Protocol(pairs=2), machine.clocks)
    assert machine.log.endswith("cccccrcccccr")


@pytest.mark.parametrize(
    ("seconds", "runs", "is_settled"),
    [
        ((8, 4, 2, 1, 1, 1), 6, True),
        ((1, 1, 1), 3, True),
        ((1, 1.09375, 1), 3, True),  # within a tenth of the fastest
        ((1, 1.125, 1, 1, 1), 5, True),
        ((1, 2) * 20, 20, False),  # never
    ],
)
def test_warm_up_goes_on_until_three_runs_are_alike(machine, seconds, runs, is_settled):
    candidate = machine.work("c", *[1] * 4, *seconds)
    samples = _time(candidate, machine.work("r", 1.0), Protocol(pairs=2), machine.clocks)
    assert machine.log == "cccc" + "rrrr" + "c" * runs + "rrr" + "crcr"
    assert samples.is_settled is is_settled


def test_restless_reference_is_not_settled_either(machine):
    reference = machine.work("r", *[1, 2] * 50)
    samples = _time(machine.work("c", 1.0), reference, Protocol(pairs=2, warmup=5), machine.clocks)
    assert machine.log == "cccc" + "rrrr" + "ccc" + "rrrrr" + "crcr"
    assert not samples.is_settled


@pytest.mark.parametrize("is_enabled", [True, False])
@pytest.mark.parametrize("fails", [True, False])
def test_garbage_collector_rests_and_is_put_back(machine, is_enabled, fails):
    states = []

    def run():
        states.append(gc.isenabled())
        machine.wall += 1.0
        machine.cpu += 1.0
        if fails and len(states) > 6:
            raise OSError("the engine broke")

    before = gc.isenabled()
    try:
        (gc.enable if is_enabled else gc.disable)()
        if fails:
            with pytest.raises(OSError, match="the engine broke"):
                _time(run, run, Protocol(pairs=2), machine.clocks)
        else:
            _time(run, run, Protocol(pairs=2), machine.clocks)
        assert gc.isenabled() is is_enabled
    finally:
        (gc.enable if before else gc.disable)()
    assert states
    assert not any(states)


def samples(candidate_wall=(1.0,) * 10, reference_cpu=(1.0,) * 10, reference_wall=(1.0,) * 10, is_settled=True):
    return Samples(candidate_wall, (1.0,) * 10, reference_wall, reference_cpu, is_settled)


@pytest.mark.parametrize(
    ("found", "clock", "flags"),
    [
        (samples(), "thread", ()),
        (samples(), "wall", ()),
        # Means of 1.08 and 1 against 1 and 1: 4 % in all. Then 1.12: 6 %.
        (samples(candidate_wall=(1.0,) * 9 + (1.8,)), "thread", ()),
        (samples(candidate_wall=(1.0,) * 9 + (2.2,)), "thread", ("preempted",)),
        (samples(candidate_wall=(1.0,) * 9 + (2.2,)), "wall", ()),  # there it is nothing special
        (samples(reference_wall=(1.0,) * 9 + (2.2,)), "thread", ("preempted",)),
        # The fastest tenth of ten is the second fastest.
        (samples(reference_cpu=(1.0,) * 2 + (1.04,) * 8), "thread", ()),
        (samples(reference_cpu=(1.0,) * 2 + (1.06,) * 8, reference_wall=(1.06,) * 10), "thread", ("contended",)),
        (samples(reference_cpu=(1.0,) * 1 + (1.06,) * 9, reference_wall=(1.06,) * 10), "thread", ()),
        (samples(reference_cpu=(1.0,) * 6 + (1.5,) * 4, reference_wall=(1.25,) * 10), "thread", ()),  # not the median
        (samples(reference_wall=(1.06,) * 8 + (1.0,) * 2), "wall", ("contended",)),
        (samples(reference_cpu=(1.0,) * 2 + (1.06,) * 8), "wall", ()),
        # Threads of the process are judged by CPU time as the calling thread is.
        (samples(candidate_wall=(1.0,) * 9 + (2.2,)), "process", ("preempted",)),
        (samples(reference_cpu=(1.0,) * 2 + (1.06,) * 8, reference_wall=(1.06,) * 10), "process", ("contended",)),
        (samples(is_settled=False), "wall", ("unsettled",)),
        (
            samples((2.0,) * 10, (1.0,) * 2 + (1.5,) * 8, is_settled=False),
            "thread",
            ("preempted", "contended", "unsettled"),
        ),
    ],
)
def test_flags_say_what_speaks_against_a_measurement(found, clock, flags):
    assert headline_flags(found, clock, Protocol()) == flags


def test_flags_follow_the_protocols_bounds():
    strict, lenient = Protocol(preempted=1.01, drifted=1.01), Protocol(preempted=3.0, drifted=3.0)
    found = samples((1.04,) * 10, (1.0,) * 2 + (1.02,) * 8)  # 2.04 seconds on the wall, 2.016 on the CPU
    assert headline_flags(found, "thread", Protocol()) == ()
    assert headline_flags(found, "thread", strict) == ("preempted", "contended")
    assert headline_flags(found, "thread", lenient) == ()


@pytest.mark.parametrize(
    ("clock", "cpu"), [("thread", time.thread_time), ("process", time.process_time), ("wall", time.thread_time)]
)
def test_each_clock_has_its_cpu_time(clock, cpu):
    assert clocks_for(clock) == Clocks(time.perf_counter, cpu)


@pytest.mark.parametrize(("clock", "runs"), [("thread", 3), ("process", 3), ("wall", 5)])
def test_warm_up_settles_on_the_headlines_clock(machine, clock, runs):
    steady = machine.work("c", 1.0)

    def run():  # others disturb the first two runs of the warm-up, which only the wall clock sees
        steady()
        machine.wall += {5: 1.0, 6: 2.0}.get(machine.log.count("c"), 0.0)

    _time(run, machine.work("r", 1.0), Protocol(pairs=2), machine.clocks, clock=clock)
    assert machine.log == "cccc" + "rrrr" + "c" * runs + "rrr" + "crcr"


def test_runs_are_timed_by_the_systems_clocks_of_that_name(monkeypatch, machine):
    asked = []

    def fake(clock):
        asked.append(clock)
        return machine.clocks

    monkeypatch.setattr("paretonas.device.timing.clocks_for", fake)
    run = machine.work("c", 0.5)
    samples = time_pairs(lambda: run, lambda: run, Protocol(pairs=2), clock="process")
    assert (asked, samples.candidate_cpu) == (["process"], (0.5, 0.5))


@pytest.mark.parametrize("wrong", [{"pairs": 1}, {"warmup": 2}, {"attempts": 0}])
def test_protocol_refuses_values_out_of_range(wrong):
    with pytest.raises(UsageError, match=r"`2 <= pairs .*`1 <= loads, attempts .*`3 <= warmup .* must hold"):
        Protocol(**wrong)
