"""What the checks of a run look at, and what they find: numbers beside their limits, and a sentence."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

from noiseforge.data.spec import Spec
from noiseforge.evaluation.advice import Remedy, advice
from noiseforge.evaluation.figures import Evaluation, Figure
from noiseforge.evaluation.health import coverage_floor
from noiseforge.recipes.schema import Recipe

Level = Literal["good", "watch", "alarm"]
Record = Mapping[str, Any]

RISING = 0.05
"""Gain of a share over the last quarter of a run above which it is still on its way, and no alarm."""
SHORTEST = 5
"""Checks of health below which nothing is said of a run."""
FAR = 2.0
"""Distance of samples to the nearest training example, over that of unseen data, beyond which they are no data."""
AMONG = 0.2
"""Precision in the looks of a training, as a share of real data's, from which on they are data all the same."""


def images_seen(records: Sequence[Record]) -> int:
    """Real images that a training had seen at its last record."""
    return max((int(record.get("images", 0)) for record in records), default=0)


class Number(BaseModel):
    """One measured value beside the threshold that it was held against."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    value: float
    threshold: float
    alarm: Literal["below", "above"]
    """On which side of the threshold trouble lies."""


class Finding(BaseModel):
    """What one check found: a sentence, the numbers behind it, and what to change."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    level: Level
    sentence: str
    numbers: tuple[Number, ...] = ()
    advice: str = ""


class Evidence(NamedTuple):
    """What the checks look at."""

    records: Sequence[Record]
    health: Sequence[Record]
    evaluation: Evaluation | None = None
    recipe: Recipe | None = None
    spec: Spec | None = None
    """Of the run and its data: what the advice must fit, where they are known."""

    def advise(self, remedies: Sequence[Remedy]) -> str:
        """What of it helps this run."""
        return advice(remedies, self.recipe, self.spec)

    def figure(self, metric: str) -> Figure | None:
        """A figure of the evaluation, where it was measured."""
        return self.evaluation.figure(metric) if self.evaluation else None

    def late(self, measure: str) -> float | None:
        """The median of a health measure over the last quarter of the run, at least three checks."""
        return self._typical(measure, 0)

    def gain(self, measure: str) -> float:
        """How much higher that is than over the quarter before; 0 where one of them is missing."""
        late, before = self._typical(measure, 0), self._typical(measure, 1)
        return 0.0 if late is None or before is None else late - before

    def spreading(self) -> bool:
        """Whether the variety of samples still grows, as it does in the first part of a healthy run."""
        return max(map(self.gain, ("pairwise_ratio", "cell_overlap", "coverage"))) > RISING

    def _typical(self, measure: str, quarters_back: int) -> float | None:
        size = max(3, math.ceil(len(self.health) / 4))
        end = len(self.health) - quarters_back * size
        if len(self.health) < SHORTEST or end < 1:
            return None
        values = [float(r[measure]) for r in self.health[max(0, end - size) : end] if measure in r]
        return median(values) if values else None

    def quality(self) -> tuple[float, float] | None:
        """Precision and coverage as shares of what real data score; an evaluation goes before health.

        Of a mixture whose modes are known, these are the share of points of high quality and the modes found. Samples
        far off the data have neither, whatever a judge says, who was never shown anything but data. Far is measured by
        unseen data, which in sets that repeat themselves are near-copies: there the looks, which ask no judge, decide.
        """
        looks, distance = self._looks(), self.figure("nearest_ratio")
        if distance and distance.value > FAR and (looks is None or looks[0] < AMONG):
            return 0.0, 0.0
        for names in (("precision", "coverage"), ("high_quality", "modes")):
            precision, coverage = map(self.figure, names)
            if precision and coverage:
                return precision.value / (precision.floor or 1.0), coverage.value / (coverage.floor or 1.0)
        return looks

    def _looks(self) -> tuple[float, float] | None:
        """Late precision and coverage of the health of the run, as shares of what real data score."""
        late = self.late("precision"), self.late("coverage")
        if late[0] is None or late[1] is None:
            return None
        floor = coverage_floor(int(self.late("count") or 256))
        return late[0] / floor, late[1] / floor


def measured(name: str, value: float, alarm: Literal["below", "above"], threshold: float) -> Number:
    """A number, and on which side of the threshold trouble lies."""
    return Number(name=name, value=value, threshold=threshold, alarm=alarm)


def beyond(number: Number) -> bool:
    """Whether it lies where trouble is."""
    return number.value < number.threshold if number.alarm == "below" else number.value > number.threshold


def graded(
    evidence: Evidence,
    name: str,
    *,
    alarms: Sequence[Number],
    watches: Sequence[Number] = (),
    sentences: Mapping[Level, str],
    remedies: Sequence[Remedy],
) -> Finding:
    """The finding of a check in which any one number suffices, with the numbers that decided."""
    level: Level = "good"
    numbers = (*alarms,) or (*watches,)
    if bad := tuple(filter(beyond, alarms)):
        level, numbers = "alarm", bad
    elif bad := tuple(filter(beyond, watches)):
        level, numbers = "watch", bad
    return Finding(
        name=name,
        level=level,
        sentence=sentences[level],
        numbers=numbers,
        advice="" if level == "good" else evidence.advise(remedies),
    )
