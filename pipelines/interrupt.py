"""SIGTERM, SIGINT and the end of a time budget: no new work, a while for what is in flight, then the end.

A second signal ends it at once. When the time is up, the same happens as at a signal, by SIGALRM.
"""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(KeyboardInterrupt):
    """The job was told to stop; `number` is the signal's."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number

    @property
    def exit_code(self) -> int:
        """What a shell expects of a program that a signal has ended: 130 or 143."""
        return 128 + self.number

    @property
    def time_is_up(self) -> bool:
        """Whether no signal from outside ended it, but its time budget."""
        return self.number == signal.SIGALRM


@dataclass(frozen=True)
class Budget:
    """Until when new work is begun (by `time.monotonic`), and how long what is in flight then has to end."""

    until: float
    grace_s: float

    def left_s(self) -> float:
        """Seconds until the time is up; negative once it is."""
        return self.until - time.monotonic()


@dataclass
class Stop:
    """Whether the job was told to stop, and by which signal."""

    number: int | None = None

    def check(self) -> None:
        """Raises Interrupted once the job was told to stop."""
        if self.number is not None:
            raise Interrupted(self.number)


@contextmanager
def listening(grace_s: float, on_stop: Callable[[float], None], budget: "Budget | None" = None) -> Iterator[Stop]:
    """Catch the signals for the time of the block.

    The first calls `on_stop` and lets the block go on for `grace_s` seconds at most; then, or at the second,
    Interrupted is raised in it. Outside the main thread nothing is caught.

    Args:
        grace_s: seconds.
        on_stop: must return at once; is given the seconds of grace.
        budget: when the time is up as if by a signal, with a grace of its own.
    """
    stop = Stop()

    def begin_to_stop(number: int, within_s: float) -> None:
        stop.number = number
        signal.setitimer(signal.ITIMER_REAL, max(within_s, 1e-3))
        on_stop(within_s)

    def first_or_second(number: int, frame: FrameType | None) -> None:
        if stop.number not in (None, signal.SIGALRM):
            stop.check()
        begin_to_stop(number, grace_s)

    def time_is_up(number: int, frame: FrameType | None) -> None:
        stop.check()
        if budget is not None:
            begin_to_stop(number, budget.grace_s)

    try:
        before: dict[int, Any] = {number: signal.signal(number, first_or_second) for number in SIGNALS}
        before[signal.SIGALRM] = signal.signal(signal.SIGALRM, time_is_up)
    except ValueError:  # not the main thread
        yield stop
        return
    if budget is not None:
        signal.setitimer(signal.ITIMER_REAL, max(budget.left_s(), 1e-3))
    try:
        yield stop
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)
