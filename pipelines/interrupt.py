"""SIGTERM and SIGINT: no new work, a while for what is in flight, then the end. A second signal ends it at once."""

import signal
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


@dataclass
class Stop:
    """Whether the job was told to stop, and by which signal."""

    number: int | None = None

    def check(self) -> None:
        """Raises Interrupted once the job was told to stop."""
        if self.number is not None:
            raise Interrupted(self.number)


@contextmanager
def listening(grace_s: float, on_stop: Callable[[], None]) -> Iterator[Stop]:
    """Catch the signals for the time of the block.

    The first calls `on_stop` and lets the block go on for `grace_s` seconds at most; then, or at the second,
    Interrupted is raised in it. Outside the main thread nothing is caught.

    Args:
        grace_s: seconds.
        on_stop: must return at once.
    """
    stop = Stop()

    def first_or_second(number: int, frame: FrameType | None) -> None:
        if stop.number is not None:
            raise Interrupted(stop.number)
        stop.number = number
        signal.setitimer(signal.ITIMER_REAL, max(grace_s, 1e-3))
        on_stop()

    def time_is_up(number: int, frame: FrameType | None) -> None:
        stop.check()

    try:
        before: dict[int, Any] = {number: signal.signal(number, first_or_second) for number in SIGNALS}
        before[signal.SIGALRM] = signal.signal(signal.SIGALRM, time_is_up)
    except ValueError:  # not the main thread
        yield stop
        return
    try:
        yield stop
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)
