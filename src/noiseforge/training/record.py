"""What a training says of itself: lines of metrics.jsonl, and TensorBoard events where the extra is there."""

from __future__ import annotations

import importlib.util
import json
import logging
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from noiseforge.errors import Diverged
from noiseforge.files import write_text

log = logging.getLogger(__name__)


class Tally:
    """Collects the scalars of every round on the device and brings them over now and then, in one transfer."""

    def __init__(self) -> None:
        self._rounds: list[tuple[int, dict[str, Tensor]]] = []
        self._sums: dict[str, float] = {}
        self._counts: dict[str, int] = {}

    def add(self, images: int, terms: dict[str, Tensor]) -> None:
        """The terms of one round, which began at `images`."""
        self._rounds.append((images, terms))

    def check(self) -> None:
        """Brings the rounds over.

        Raises:
            Diverged: names the first term that was not finite and how many images had been seen.
        """
        flat = [(images, name, value) for images, terms in self._rounds for name, value in terms.items()]
        self._rounds = []
        if not flat:
            return
        values = torch.stack([value.float() for _, _, value in flat]).tolist()
        for (images, name, _), value in zip(flat, values, strict=True):
            if value != value or value in (float("inf"), float("-inf")):
                raise Diverged(f"{name} became {value} after {images} images")
            self._sums[name] = self._sums.get(name, 0.0) + value
            self._counts[name] = self._counts.get(name, 0) + 1

    def means(self) -> dict[str, float]:
        """The mean of each term since the last call."""
        means = {name: total / self._counts[name] for name, total in self._sums.items()}
        self._sums, self._counts = {}, {}
        return means


def read_records(path: Path) -> list[dict[str, object]]:
    """The lines of a metrics.jsonl; a last line cut off by a kill is left out."""
    records = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            log.warning("%s has a line that is not whole: %.40s", path, line)
    return records


class Record:
    """Appends to metrics.jsonl, and to TensorBoard's events when tensorboard is installed."""

    def __init__(self, folder: Path, *, resumed_at: int = 0):
        self.path = folder / "metrics.jsonl"
        kept = [r for r in read_records(self.path) if int(str(r.get("images", 0))) <= resumed_at]
        write_text(self.path, "".join(json.dumps(r) + "\n" for r in kept if resumed_at))
        self._events = self._open_events(folder / "events", resumed_at)

    @staticmethod
    def _open_events(folder: Path, resumed_at: int):  # type: ignore[no-untyped-def]  # tensorboard has no types
        if importlib.util.find_spec("tensorboard") is None:
            return None
        from torch.utils.tensorboard import SummaryWriter

        return SummaryWriter(str(folder), purge_step=resumed_at or None)

    def write(self, event: str, images: int, values: Mapping[str, object]) -> None:
        """One line: the kind of event, when, and its values."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"event": event, "images": images, **values}) + "\n")
        if self._events is not None:
            for name, value in values.items():
                if isinstance(value, int | float):
                    self._events.add_scalar(f"{event}/{name}", value, images)

    def close(self) -> None:
        """Writes out what is still buffered."""
        if self._events is not None:
            self._events.close()
