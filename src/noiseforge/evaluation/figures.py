"""What an evaluation says: each figure with its number of examples, its extractor, its interval and its floor."""

from __future__ import annotations

from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

from noiseforge.evaluation.bootstrap import Interval

Better = Literal["higher", "lower", "floor"]
"""Which way a metric is better; of "floor", what is near its floor, from either side."""


class Figure(BaseModel):
    """One metric and the protocol that it was measured by. A figure without its protocol is noise."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    metric: str
    value: float
    low: float | None = None
    """Lower end of the 95 % interval, or None where there is no interval."""
    high: float | None = None
    floor: float | None = None
    """What real data scores against real data at the same number of examples."""
    n_real: int
    """Real examples that the value was computed from; 0 where the metric looks at the samples alone."""
    n_fake: int
    extractor: str
    """Identity of what turned examples into features; equal identities give comparable figures."""
    seed: int
    better: Better
    note: str = ""


class Measured(NamedTuple):
    """A figure before it has its name."""

    value: float
    interval: Interval | None
    floor: float | None
    n_real: int
    n_fake: int
    extractor: str
    note: str = ""

    def named(self, metric: str, *, better: Better, seed: int) -> Figure:
        """The figure."""
        low, high = self.interval or (None, None)
        found = {name: value for name, value in self._asdict().items() if name != "interval"}
        return Figure(metric=metric, low=low, high=high, better=better, seed=seed, **found)


class Evaluation(BaseModel):
    """All figures of one subject against one source of real data. Written and read as JSON.

    >>> figure = Figure(metric="fid", value=3.5, n_real=10, n_fake=10, extractor="pixels", seed=0, better="lower")
    >>> study = Evaluation(subject="samples.npy", source="digits", figures=(figure,), created="", seconds=1.0)
    >>> Evaluation.model_validate_json(study.model_dump_json()) == study
    True
    >>> study.figure("fid").value
    3.5
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    subject: str
    """What was evaluated: the path of a run, of a folder of pictures, or "samples"."""
    source: str
    """The source of the real data, as `load_data` takes it."""
    fingerprint: str = ""
    """Of the real data: of its training examples and labels."""
    reference: Literal["test", "train"] = "test"
    """The part of the real data that the samples were compared with."""
    images: int | None = None
    """Real images that the evaluated run had seen; None where the subject is no run."""
    command: str = ""
    """What measures the same again, where that is known."""
    figures: tuple[Figure, ...]
    classes: tuple[str, ...] = ()
    class_histogram: tuple[float, ...] = ()
    """Share of the samples that the judge assigns to each class, in the order of `classes`."""
    judge_accuracy: float | None = None
    """Share of the test examples that the judge classifies correctly."""
    created: str
    """Date and time in UTC, ISO 8601."""
    seconds: float

    def figure(self, metric: str) -> Figure | None:
        """The figure of that name, or None where it was not measured."""
        return next((figure for figure in self.figures if figure.metric == metric), None)
