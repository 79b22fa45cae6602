"""What a comparison of runs says: the same figures of each, side by side, and which is better in each row."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

from noiseforge.evaluation.figures import Better, Evaluation, Figure
from noiseforge.evaluation.glossary import ARROWS, GLOSSARY
from noiseforge.evaluation.page import number


class Contender(BaseModel):
    """One way of sampling from one run, measured."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str
    run: str
    """The run's folder."""
    evaluation: Evaluation
    likelihood: tuple[Figure, ...] = ()
    """Where the model has a likelihood and samples from its prior."""
    likelihood_of: str = ""
    """What the likelihood is of: only likelihoods of the same are comparable."""
    reconstruction: Figure | None = None
    """Mean squared error in model units, where the model has an encoder."""
    training_seconds: float | None = None
    peak_memory_bytes: int | None = None
    parameters: int
    """Of all networks of the model, those that only train included."""
    samples_per_second: float


class Cell(NamedTuple):
    """A value of one contender, with its interval where there is one."""

    value: float
    low: float | None = None
    high: float | None = None


class Row(NamedTuple):
    """One measure of all contenders."""

    metric: str
    title: str
    better: Better
    cells: tuple[Cell | None, ...]
    """In the order of the contenders; None where it was not measured."""
    best: tuple[int, ...]
    """The places of the best, more than one where they are equal; none where no two can be compared."""
    floor: float | None = None
    write: Callable[[float], str] = number
    meaning: str = ""


class RunComparison(BaseModel):
    """Some runs on the same data, with the same features, number of samples and seed. Written and read as JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    source: str
    fingerprint: str
    n: int
    """Samples that each contender drew."""
    seed: int
    features: str
    """Identity of the extractor, or the name that was asked for where no metric needed one."""
    machine: str
    """Where times were measured: they can be compared there alone."""
    contenders: tuple[Contender, ...]
    created: str
    seconds: float

    def rows(self) -> tuple[Row, ...]:
        """Every measure that at least one contender has."""
        return tuple(_rows(self.contenders))

    def row(self, metric: str) -> Row | None:
        """The first row of that name."""
        return next((row for row in self.rows() if row.metric == metric), None)

    def table(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """Names of columns, and rows of text in which a star marks the best: for a terminal."""
        columns = ("measure", "better", *(contender.name for contender in self.contenders), "floor")
        lines = []
        for row in self.rows():
            cells = (
                "–" if cell is None else row.write(cell.value) + " *" * (place in row.best)
                for place, cell in enumerate(row.cells)
            )
            floor = "" if row.floor is None else row.write(row.floor)
            lines.append((row.title, ARROWS[row.better][0], *cells, floor))
        return columns, lines


def best(values: tuple[float | None, ...], better: Better, floor: float | None = None) -> tuple[int, ...]:
    """The places of the best of some values; none where fewer than two are there, or all are the same.

    >>> best((1.0, None, 3.0), "higher"), best((1.0, 1.0, 3.0), "lower"), best((0.5, 1.1, 3.0), "floor", 1.0)
    ((2,), (0, 1), (1,))
    >>> best((1.0, None), "higher"), best((2.0, 2.0), "lower")
    ((), ())
    """
    merits = [None if value is None else _merit(value, better, floor) for value in values]
    known = [merit for merit in merits if merit is not None]
    if len(known) < 2 or max(known) == min(known):
        return ()
    return tuple(place for place, merit in enumerate(merits) if merit == max(known))


def _merit(value: float, better: Better, floor: float | None) -> float | None:
    """Greater where better; half the floor is as far from it as twice as much. None where that cannot be said."""
    if better == "floor":
        if floor is None:
            return None
        return -abs(math.log(value / floor)) if value > 0 and floor > 0 else -abs(value - floor) - 1e3
    return value if better == "higher" else -value


def _rows(contenders: tuple[Contender, ...]) -> Iterator[Row]:
    evaluations = [list(contender.evaluation.figures) for contender in contenders]
    yield from _figure_rows(evaluations)
    yield from _figure_rows([[c.reconstruction] if c.reconstruction else [] for c in contenders])
    for kind in dict.fromkeys(c.likelihood_of for c in contenders if c.likelihood):
        yield from _figure_rows([list(c.likelihood) if c.likelihood_of == kind else [] for c in contenders], kind)
    for metric, (title, better, write) in COSTS.items():
        values = tuple(getattr(contender, metric) for contender in contenders)
        if any(value is not None for value in values):
            cells = tuple(None if value is None else Cell(value) for value in values)
            yield Row(metric, title, better, cells, best(values, better), write=write)


def _figure_rows(figures: list[list[Figure]], kind: str = "") -> Iterator[Row]:
    """A row for each metric; figures of different extractors stand in rows of their own."""
    keys = dict.fromkeys((figure.metric, figure.extractor) for own in figures for figure in own)
    for key in keys:
        found = [next((f for f in own if (f.metric, f.extractor) == key), None) for own in figures]
        first = next(figure for figure in found if figure)
        floor = next((figure.floor for figure in found if figure and figure.floor is not None), None)
        values = tuple(figure.value if figure else None for figure in found)
        title, meaning = TITLES.get(first.metric) or (first.metric.replace("_", " "), "")
        yield Row(
            first.metric,
            f"{title}, {kind}" if kind else title,
            first.better,
            tuple(Cell(f.value, f.low, f.high) if f else None for f in found),
            () if first.metric in TRADED else best(values, first.better, floor),
            floor,
            meaning=meaning,
        )


def duration(seconds: float) -> str:
    """A time for people.

    >>> duration(4.2), duration(75), duration(7500)
    ('4.2 s', '1 min 15 s', '2 h 5 min')
    """
    if seconds < 60:
        return f"{seconds:.2g} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _bytes(count: float) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


TITLES: dict[str, tuple[str, str]] = {
    **{name: (entry.title, entry.meaning) for name, entry in GLOSSARY.items()},
    "reconstruction_error": (
        "Reconstruction error",
        "Mean squared difference of test examples and their reconstructions, in model units.",
    ),
}
TRADED = ("reconstruction", "kl", "active_units")
"""Parts of one bound that are traded for each other: a KL of 0 is lowest where the code is ignored."""
COSTS: dict[str, tuple[str, Better, Callable[[float], str]]] = {
    "training_seconds": ("Training time", "lower", duration),
    "peak_memory_bytes": ("Peak memory in training", "lower", _bytes),
    "parameters": ("Parameters", "lower", number),
    "samples_per_second": ("Samples a second", "higher", number),
}
