"""A cluster that isn't there, event by event: machines with pools of workers, one driver, losses, stragglers.

What it leaves out: the network and the store (they are taken to keep up), locality (a shard stays on the machine that
decoded it), autoscaling, and a loss of the head, which ends a run.
"""

import heapq
import math
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipelines.sizing import CPU_S

DECODE, TRANSCRIBE, INFER = range(3)
MIN_SHARE = 0.99
"""The tail is the time from this share of the shards to all of them."""


@dataclass(frozen=True)
class Costs:
    """CPU-seconds for a second of video, by stage, and seconds for a shard.

    The stages' are those that `pipelines.sizing` calculates with. `driver_s` is what a shard takes of the driver (5 ms
    a stage by `benchmarks.ray_blocks`, and planning); `write_s` the time of its commit, in which no core is busy;
    `start_s` passes before a machine that has joined is ready.
    """

    decode: float = CPU_S["decode"] + CPU_S["faces"]
    transcribe: float = CPU_S["transcribe"]
    infer: float = CPU_S["infer"]
    driver_s: float = 0.03
    write_s: float = 1.0
    start_s: float = 60.0

    @property
    def in_all(self) -> float:
        """CPU-seconds for a second of video."""
        return self.decode + self.transcribe + self.infer


@dataclass(frozen=True)
class Cluster:
    """Machines and what befalls them. Times are means of exponential distributions; losses are for a machine and hour.

    A loss is noticed after `notice_s`, and the machine replaced after `replace_s` more or less. `late` of the machines
    join after `late_s` more or less; `slow` of them run at `slow_speed`.
    """

    nodes: int
    cores: int = 8
    losses_per_hour: float = 0.0
    notice_s: float = 30.0
    replace_s: float = 600.0
    late: float = 0.0
    late_s: float = 900.0
    slow: float = 0.0
    slow_speed: float = 0.5

    @property
    def pools(self) -> tuple[int, int, int]:
        """Workers a machine, by stage: as `pipelines.graph` has them."""
        return self.cores, -(-self.cores // 2), -(-self.cores // 4)


@dataclass(frozen=True)
class Work:
    """What is to be done: shards of `shard_s` of video, all of them or each.

    They differ by `spread` (standard deviation of the logarithm of their cost). `heavy` of them cost more than they
    look, by a factor of Pareto's distribution with the exponent `heavy_exponent`, at most `heavy_most`.
    """

    shards: int
    shard_s: float | np.ndarray = 1800.0
    spread: float = 0.0
    heavy: float = 0.0
    heavy_exponent: float = 1.5
    heavy_most: float = 10.0

    @property
    def media_s(self) -> float:
        """Seconds of video of all shards."""
        return float(np.broadcast_to(self.shard_s, self.shards).sum(dtype=np.float64))

    def factors(self, rng: np.random.Generator) -> np.ndarray:
        """What each shard costs, as a multiple of the mean: float32, [shards]."""
        factors = rng.lognormal(-(self.spread**2) / 2, self.spread, self.shards).astype(np.float32)
        odd = rng.random(self.shards, np.float32) < self.heavy
        tail = np.minimum(1 + rng.pareto(self.heavy_exponent, int(odd.sum())), self.heavy_most)
        factors[odd] *= tail.astype(np.float32)
        return factors


@dataclass
class Outcome:
    """How a run went; hours are of the clock, fractions of 1. `repeated` is the work that was done in vain."""

    nodes: int
    shards: int
    hours_of_video: float
    hours: float = 0.0
    hours_ideal: float = 0.0
    speed: float = 0.0
    efficiency: float = 0.0
    tail_hours: float = 0.0
    losses: int = 0
    shards_begun_anew: int = 0
    repeated: float = 0.0
    core_hours: float = 0.0
    driver_busy: float = 0.0
    driver_memory_gb: float = 0.0
    most_in_flight: int = 0
    wall_s: float = 0.0


class Node:
    """A machine: its cores are shared evenly by the tasks on it, each of which can use one.

    `served` is the work that each task present has been given since the machine was ready (its virtual time): a task
    that begins at `served` = v with work w ends when `served` is v + w, whatever comes and goes meanwhile.
    """

    def __init__(self, speed: float) -> None:
        self.speed = speed
        self.alive = False
        self.epoch = 0  # of the machine: its replacement is another one
        self.version = 0  # of its next event: earlier ones no longer hold
        self.ready_at = 0.0
        self.clear(0.0)

    def clear(self, now: float) -> None:
        """Nothing is on it."""
        self.served, self.updated = 0.0, now
        self.tasks: list[tuple[float, int, int]] = []  # heap of (served at the end, shard, stage)
        self.waits: tuple[deque[int], deque[int]] = (deque(), deque())  # before transcribe, before infer
        self.busy = [0, 0, 0]
        self.done: dict[int, float] = {}  # CPU-seconds of the stages that each shard here has behind it

    def rate(self, cores: int) -> float:
        """How fast each task goes on."""
        return self.speed * min(1.0, cores / len(self.tasks))

    def advance(self, now: float, cores: int) -> None:
        """Serve the tasks until `now`."""
        if self.tasks:
            self.served += (now - self.updated) * self.rate(cores)
        self.updated = now


class Simulation:
    """One run. `run` gives its outcome.

    Args:
        cluster: the machines.
        work: the shards.
        costs: of the stages.
        seed: of all that is random.
    """

    def __init__(self, cluster: Cluster, work: Work, costs: Costs, seed: int = 1) -> None:
        self._cluster, self._work, self._costs = cluster, work, costs
        self._rng = np.random.default_rng(seed)
        factors = work.factors(self._rng)
        self._media_s = np.multiply(factors, work.shard_s)  # cost is that of so many seconds of video
        self._per_s = (costs.decode, costs.transcribe, costs.infer)
        self._room = tuple(2 * workers for workers in cluster.pools[1:])
        self._nodes = [Node(cluster.slow_speed if self._rng.random() < cluster.slow else 1.0) for _ in self._range()]
        self._events: list[tuple[float, int, str, int, Any]] = []
        self._events_made = 0
        self._next, self._returned = 0, deque[int]()
        self._idle: set[int] = set()
        self._committed = bytearray(work.shards)
        self._count = 0
        self._driver_free = self._driver_busy = 0.0
        self._lost_s = self._up_s = 0.0
        self._in_flight = 0
        self._outcome = Outcome(cluster.nodes, work.shards, work.media_s / 3600)

    def run(self) -> Outcome:
        """Simulate until every shard is committed."""
        began = time.monotonic()
        for number, _ in enumerate(self._nodes):
            late = self._rng.exponential(self._cluster.late_s) if self._rng.random() < self._cluster.late else 0.0
            self._at(late + self._costs.start_s, "ready", number)
        now, enough, at_enough = 0.0, math.ceil(MIN_SHARE * self._work.shards), 0.0
        handlers = {"ready": self._ready, "given": self._given, "task": self._task, "commit": self._commit}
        handlers |= {"lost": self._lost, "back": self._back}
        while self._count < self._work.shards:
            now, _, kind, number, about = heapq.heappop(self._events)
            before = self._count
            handlers[kind](now, number, about)
            if before < enough <= self._count:
                at_enough = now
        return self._account(now, now - at_enough, time.monotonic() - began)

    @property
    def committed(self) -> int:
        """How many shards are committed."""
        return sum(self._committed)

    def _account(self, now: float, tail_s: float, wall_s: float) -> Outcome:
        cluster, costs = self._cluster, self._costs
        work_s = float(self._media_s.sum(dtype=np.float64)) * costs.in_all
        up_s = self._up_s + sum(max(0.0, now - node.ready_at + costs.start_s) for node in self._nodes if node.alive)
        made = self._outcome
        made.hours, made.hours_ideal = now / 3600, work_s / (cluster.nodes * cluster.cores) / 3600
        made.speed = made.hours_of_video / made.hours
        made.efficiency = made.hours_ideal / made.hours
        made.tail_hours = tail_s / 3600
        made.repeated = self._lost_s / work_s
        made.core_hours = up_s * cluster.cores / 3600
        made.driver_busy = self._driver_busy / now
        made.driver_memory_gb = driver_memory_gb(made.hours_of_video)
        made.wall_s = wall_s
        return made

    def _range(self) -> range:
        return range(self._cluster.nodes)

    def _at(self, when: float, kind: str, number: int, about: Any = None) -> None:
        self._events_made += 1
        heapq.heappush(self._events, (when, self._events_made, kind, number, about))

    def _ready(self, now: float, number: int, about: None) -> None:
        node = self._nodes[number]
        node.alive, node.ready_at = True, now
        node.clear(now)
        if self._cluster.losses_per_hour:
            self._at(now + self._rng.exponential(3600 / self._cluster.losses_per_hour), "lost", number)
        self._go_on(now, number, node)

    def _given(self, now: float, number: int, about: tuple[int, int]) -> None:
        """A shard comes from the driver."""
        epoch, shard = about
        node = self._nodes[number]
        if node.epoch == epoch:
            node.advance(now, self._cluster.cores)
            self._begin(node, shard, DECODE)
            self._schedule(now, number, node)

    def _task(self, now: float, number: int, version: int) -> None:
        """The task that was to end first has ended."""
        node = self._nodes[number]
        if version != node.version:
            return
        node.advance(now, self._cluster.cores)
        _, shard, stage = heapq.heappop(node.tasks)
        node.busy[stage] -= 1
        node.done[shard] += self._work_s(shard, stage)
        if stage == INFER:
            self._at(now + self._costs.write_s, "commit", number, (node.epoch, shard))
        else:
            node.waits[stage].append(shard)
        self._go_on(now, number, node)

    def _commit(self, now: float, number: int, about: tuple[int, int]) -> None:
        epoch, shard = about
        node = self._nodes[number]
        if node.epoch != epoch:
            return  # its machine was lost in the middle of it
        if self._committed[shard]:
            raise AssertionError(f"shard {shard} was committed twice")
        self._committed[shard] = 1
        self._count += 1
        self._in_flight -= 1
        del node.done[shard]

    def _lost(self, now: float, number: int, about: None) -> None:
        node = self._nodes[number]
        node.advance(now, self._cluster.cores)
        for ends_at, shard, stage in node.tasks:
            self._lost_s += self._work_s(shard, stage) - (ends_at - node.served)
        self._lost_s += sum(node.done.values())
        self._outcome.losses += 1
        self._outcome.shards_begun_anew += len(node.done)
        self._in_flight -= len(node.done)
        self._at(now + self._cluster.notice_s, "back", number, list(node.done))
        self._up_s += now - node.ready_at + self._costs.start_s
        self._idle.discard(number)
        node.alive = False
        node.epoch += 1
        node.version += 1
        node.clear(now)
        self._at(now + self._rng.exponential(self._cluster.replace_s) + self._costs.start_s, "ready", number)

    def _back(self, now: float, number: int, shards: list[int]) -> None:
        """The driver has noticed a loss: others take up what was lost."""
        self._returned.extend(shards)
        for idle in sorted(self._idle)[: len(shards)]:
            self._idle.discard(idle)
            self._go_on(now, idle, self._nodes[idle])

    def _go_on(self, now: float, number: int, node: Node) -> None:
        """Begin whatever there is room for, the last stage first."""
        node.advance(now, self._cluster.cores)
        pools, busy, waits = self._cluster.pools, node.busy, node.waits
        while waits[1] and busy[INFER] < pools[INFER]:
            self._begin(node, waits[1].popleft(), INFER)
        while waits[0] and busy[TRANSCRIBE] < pools[TRANSCRIBE] and len(waits[1]) < self._room[1]:
            self._begin(node, waits[0].popleft(), TRANSCRIBE)
        while busy[DECODE] < pools[DECODE] and len(waits[0]) < self._room[0]:
            shard = self._next_shard()
            if shard is None:
                self._idle.add(number)
                break
            busy[DECODE] += 1  # while it is on its way
            node.done[shard] = 0.0
            self._driver_free = max(now, self._driver_free) + self._costs.driver_s
            self._driver_busy += self._costs.driver_s
            self._at(self._driver_free, "given", number, (node.epoch, shard))
        self._schedule(now, number, node)

    def _next_shard(self) -> int | None:
        if self._returned:
            shard = self._returned.popleft()
        elif self._next < self._work.shards:
            shard, self._next = self._next, self._next + 1
        else:
            return None
        self._in_flight += 1
        self._outcome.most_in_flight = max(self._outcome.most_in_flight, self._in_flight)
        return shard

    def _begin(self, node: Node, shard: int, stage: int) -> None:
        if stage != DECODE:
            node.busy[stage] += 1
        heapq.heappush(node.tasks, (node.served + self._work_s(shard, stage), shard, stage))

    def _work_s(self, shard: int, stage: int) -> float:
        """CPU-seconds of a stage for a shard."""
        return self._per_s[stage] * float(self._media_s[shard])

    def _schedule(self, now: float, number: int, node: Node) -> None:
        """Say when the next task of this machine ends, as things are."""
        node.version += 1
        if node.tasks:
            left = max(0.0, node.tasks[0][0] - node.served)
            self._at(now + left / node.rate(self._cluster.cores), "task", number, node.version)


DRIVER_GB, DRIVER_BYTES_A_SEGMENT = 0.2, 2_000
"""By `benchmarks.scale`, where a video is one segment; Ray's own comes on top."""
SEGMENTS_AN_HOUR = 15
"""Segments last four minutes, or as long as a shorter video."""


def driver_memory_gb(hours_of_video: float) -> float:
    """What the driver takes to plan so many hours of long videos, and to account for them."""
    return DRIVER_GB + hours_of_video * SEGMENTS_AN_HOUR * DRIVER_BYTES_A_SEGMENT / 1e9
