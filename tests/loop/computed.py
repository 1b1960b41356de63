"""An evaluator whose numbers are computed from the spec, and the plans and lanes of searches with it."""

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from random import Random

from paretonas.evaluation.evaluator import INLINE, WORKERS, About, Call, Evaluator, Evidence, Stage, device_lane
from paretonas.evaluation.keys import Cache, Key
from paretonas.executor import Executor, Job
from paretonas.executor.executor import attempt
from paretonas.executor.serial import SerialExecutor
from paretonas.loop.gates import Halving, Limits, Screen, ScreenOptions
from paretonas.loop.listener import SILENT
from paretonas.loop.loop import Loop
from paretonas.loop.plan import HERE, Budget, Lane, Plan
from paretonas.objective import Goals, Limit, Objective
from paretonas.objective.metric import on_device
from paretonas.space import Decision, ForeignSpec, SearchSpace, spec_hash
from paretonas.strategy import strategies
from paretonas.testing.strategy import TOY_SPACE

ANY = "any"
"""Stands for every stage where calls are counted."""
TWINS = SearchSpace(
    "twins",
    (Decision("built", tuple("abcd")), Decision("also built", tuple("abc")), Decision("without effect", (1, 2, 3))),
    lambda values: ForeignSpec(f"toy:{values['built']}{values['also built']}"),
)
"""Twelve specs, each decoded from three architectures."""


def number_of(spec, purpose=""):
    """In [0, 1), the same for the same spec."""
    return Random(spec_hash(spec) + purpose).random()


@dataclass
class Computed(Evaluator):
    """Costs, a metric of the untrained network, a latency on each device, and shares of a training.

    What the stages but the first give is kept in the cache. All calls are recorded, and may go wrong.

    Args:
        cache: Where evidence is kept.
        devices: Their names; the latency of each is 0.5 to 1.5 ms.
        shares: Of the training; the accuracy at one is that share of the final one.
        is_looking: Whether there is a stage for the untrained network.
        raises: (Stage, how many of its calls came before) -> what that call raises.
        calls: Stage and spec of every call, in order.
        looked_up: Stage and spec of everything that was asked for in the cache.
        forgotten: Specs of trials that have ended.
    """

    cache: Cache
    devices: tuple[str, ...] = ("",)
    shares: tuple[float, ...] = (1.0,)
    is_looking: bool = False
    raises: Mapping[tuple[str, int], BaseException] = field(default_factory=dict)
    calls: list[tuple[str, str]] = field(default_factory=list)
    looked_up: list[tuple[str, str]] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)

    quality = "accuracy"

    def prepare(self, listener):
        listener.note("computing")

    def about(self):
        return About(("on an abacus",), "digest", "an abacus")

    def stages(self):
        looking = (self._stage("untrained", INLINE, ("synflow",), self.untrained),) if self.is_looking else ()
        latencies = (
            self._stage(on_device("latency_ms", name), device_lane(name), _latencies(name), self.latency, name)
            for name in self.devices
        )
        trainings = (
            self._stage(_training(share), WORKERS, ("accuracy", "train_seconds"), self.training, share)
            for share in self.shares
        )
        return (self._stage("cost", INLINE, ("params", "macs"), self.costs), *looking, *latencies, *trainings)

    def costs(self, spec):
        return {"params": 1e6 * number_of(spec, "params"), "macs": 1e8 * number_of(spec, "macs")}

    def untrained(self, spec):
        return {"synflow": 100 * number_of(spec, "synflow")}

    def latency(self, spec, name):
        return dict(zip(_latencies(name), (0.5 + number_of(spec, name), 0.0), strict=True))

    def training(self, spec, share):
        return {"accuracy": share * number_of(spec), "train_seconds": 1.0}

    def forget(self, spec):
        self.forgotten.append(spec_hash(spec))

    def trained(self):
        """Hashes of the specs whose training was called, in order."""
        return [spec for name, spec in self.calls if name.startswith("training")]

    def timed(self):
        """Hashes of the specs that were timed on some device, in order."""
        return [spec for name, spec in self.calls if name.startswith("latency")]

    def _stage(self, name, lane, gives, compute, *about):
        is_kept = name != "cost"

        def key(spec):
            return Key(name, {"spec": spec_hash(spec)})

        def known(spec):
            self.looked_up.append((name, spec_hash(spec)))
            found = key(spec).get(self.cache) if is_kept else None
            return None if found is None else Evidence(found, key(spec).id(self.cache))

        def run(spec):
            counts = Counter(called for called, _ in self.calls)
            self.calls.append((name, spec_hash(spec)))
            for which in ((name, counts[name]), (ANY, counts.total())):
                if which in self.raises:
                    raise self.raises[which]
            return compute(spec, *about)

        def keep(spec, found):
            return Evidence(found, key(spec).put(self.cache, found) if is_kept else None)

        share = about[0] if lane == WORKERS else None
        return Stage(name, lane, gives, known, lambda spec: Call(run, (spec,)), keep, share)


def _latencies(device):
    return on_device("latency_ms", device), on_device("latency_flags", device)


def _training(share):
    return "training" if share == 1 else f"training/{share:g}"


def objective_of(evaluator, limits=()):
    """The soft reward with a target of 1 ms on each device."""
    targets = {on_device("latency_ms", name): 1.0 for name in evaluator.devices}
    return Objective(targets=targets, limits=tuple(map(Limit.parse, limits)))


def plan_of(evaluator, limits=(), **change):
    """A search of 12 random architectures within limits, with any part of the plan changed."""
    objective = objective_of(evaluator, limits)
    goals, gates = Goals(limits=objective.limits), (Limits(objective),)
    plan = Plan("s", TOY_SPACE, strategies.create("random"), 0, goals, objective, evaluator, gates, Budget(trials=12))
    return replace(plan, **change)


def halved(plan, keep=0.5):
    """The plan with a gate at each share of the training."""
    return replace(plan, gates=(*plan.gates, Halving(plan.objective, keep)))


def screened(plan, metric="synflow", keep=0.5, first=None):
    """The plan with a gate that a cheap metric keeps."""
    return replace(plan, gates=(*plan.gates, Screen(metric, ScreenOptions(keep, first))))


def lanes_of(evaluator, machines=None, start=lambda name: SerialExecutor()):
    """A lane for each device and one for the workers.

    Args:
        evaluator: Whose.
        machines: Device -> machine; this one for those that are not named.
        start: Gives the executor of a lane.
    """
    places = {device_lane(name): (machines or {}).get(name, HERE) for name in evaluator.devices} | {WORKERS: HERE}
    return {name: Lane(start(name), machine) for name, machine in places.items()}


def run(plan, store, lanes=None, listener=SILENT):
    """A session of the search, which is recorded if it is new; its trials."""
    if plan.name not in {summary.name for summary in store.searches()}:
        store.create_search(plan.name, {})
    lanes = lanes_of(plan.evaluator) if lanes is None else lanes
    return Loop(plan, store, lanes, listener).run()


def facts(trials):
    """What a search that was stopped and went on has in common with one that was not."""
    return [(t.number, t.architecture, t.state, t.metrics, t.reward, t.told, t.fidelity) for t in trials]


class Watched(Executor):
    """Jobs that run when they are waited for, the first first, so that those of several lanes overlap.

    Args:
        name: Of the lane.
        busy: Names of the lanes that run jobs, one entry a job; shared by the lanes.
        seen: What `busy` was each time that a job began; shared by the lanes.
        workers: How many jobs run at once; patience ends before one does, as long as others may begin.
    """

    def __init__(self, name, busy, seen, workers=1):
        self.workers, self._name, self._busy, self._seen = workers, name, busy, seen
        self._queue = deque()

    def submit(self, key, function, *args, timeout=None):
        job = Job(key)
        self._queue.append((job, function, args))
        self._busy.append(self._name)
        self._seen.append(sorted(self._busy))
        return job

    def wait(self, timeout=None):
        if timeout is not None and self.idle:
            return []
        job, function, args = self._queue.popleft()
        job.finish(attempt(function, *args))
        self._busy.remove(self._name)
        return [job]

    @property
    def idle(self):
        return self.workers - len(self._queue)

    def close(self):
        self._queue.clear()
