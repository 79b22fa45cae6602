"""Where a training is, how long it will take, and the wish to stop it."""

from __future__ import annotations

import logging
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

try:
    import resource
except ImportError:  # not on Windows
    resource = None  # type: ignore[assignment]

log = logging.getLogger(__name__)


class Progress(NamedTuple):
    """Where a training is, for whoever shows it."""

    images: int
    """Examples seen so far, whatever they are."""
    total_images: int
    images_per_second: float
    seconds_left: float
    terms: dict[str, float]
    unit: str = "images"
    """What the examples are called."""


class Clock:
    """Rate and time left, measured since this process began."""

    def __init__(self, images: int, total: int, unit: str = "images"):
        self.unit = unit
        self.began, self.first, self.images, self.total = time.monotonic(), images, images, total
        self.terms: dict[str, float] = {}

    def tick(self, images: int) -> None:
        self.images = images

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    @property
    def rate(self) -> float:
        return (self.images - self.first) / max(self.seconds, 1e-9)

    def record(self) -> dict[str, float]:
        """Seconds, rate, and where the system tells it the most memory that this process has held on the host."""
        pace = {"seconds": round(self.seconds, 3), "images_per_second": round(self.rate, 2)}
        return pace if resource is None else {**pace, "peak_memory_bytes": _peak_memory()}

    def progress(self) -> Progress:
        left = (self.total - self.images) / max(self.rate, 1e-9)
        return Progress(self.images, self.total, self.rate, left, self.terms, self.unit)


def _peak_memory() -> int:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


@contextmanager
def stop_requested() -> Iterator[threading.Event]:
    """Within the block Ctrl-C and SIGTERM raise a flag; a second Ctrl-C stops at once."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def ask(number: int, _frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        log.warning("stopping: finishing this round and saving (again to stop at once)")
        stop.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
