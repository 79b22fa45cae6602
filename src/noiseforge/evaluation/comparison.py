"""Two sets of examples under one extractor: what the metrics look at, each part of it computed once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import NamedTuple

import torch
from torch import Tensor

from noiseforge.data.builtin import Mixture, mixture
from noiseforge.data.spec import Data
from noiseforge.data.split import seeded
from noiseforge.evaluation.bootstrap import REPLICATES, Interval, mean_interval, resampled_interval
from noiseforge.evaluation.coverage import Coverage, neighbourhoods
from noiseforge.evaluation.features import Extractor, average_down, pixels
from noiseforge.evaluation.neighbours import nearest_examples

MOST_NEIGHBOURS = 10_000
"""Examples of a set that neighbourhoods are made of: their cost grows with its square."""
MEMORISATION_QUERIES = 1_000
MEMORISATION_TRAINING = 60_000


class Measurement(NamedTuple):
    """A metric's value, its interval, and what it was computed from."""

    value: float
    interval: Interval | None
    n_real: int
    n_fake: int
    extractor: str
    note: str = ""


@dataclass
class Study:
    """What all metrics of one evaluation share."""

    data: Data
    build_extractor: Callable[[], Extractor]
    seed: int

    @cached_property
    def extractor(self) -> Extractor:
        """Built when the first metric asks for it: the modes of a mixture never do."""
        return self.build_extractor()

    @property
    def used_extractor(self) -> Extractor | None:
        """The extractor, if a metric has asked for it."""
        return vars(self).get("extractor")

    @cached_property
    def mixture(self) -> Mixture | None:
        """What the data is drawn from, where that is known."""
        return mixture(self.data.spec.source)

    @cached_property
    def searched(self) -> Tensor:
        """Indices of the training examples among which nearest neighbours are looked for."""
        order = torch.randperm(len(self.data.train), generator=self.generator("memorisation"))
        return order[:MEMORISATION_TRAINING]

    def generator(self, purpose: str) -> torch.Generator:
        """A stream of random numbers of its own, so that a figure does not depend on which others were asked for."""
        return seeded(self.seed, "evaluation", purpose)


class Examples:
    """One set of examples, real or generated.

    Args:
        x: (N, *shape) in model units.
        labels: (N,) int64, what each is meant to be, or None.
        study: what it is looked at with.
    """

    def __init__(self, x: Tensor, labels: Tensor | None, study: Study, *, whole: Examples | None = None) -> None:
        self.x, self.labels, self.study, self._whole = x, labels, study, whole

    def __len__(self) -> int:
        return len(self.x)

    def first(self, n: int) -> Examples:
        """The first n, which share the features of the whole."""
        if n >= len(self):
            return self
        return Examples(self.x[:n], None if self.labels is None else self.labels[:n], self.study, whole=self)

    @cached_property
    def features(self) -> Tensor:
        """(N, d) float64."""
        if self._whole is not None:
            return self._whole.features[: len(self)]
        return self.study.extractor.features(self.x)

    @cached_property
    def probabilities(self) -> Tensor:
        """(N, K) float64; only of an extractor that classifies."""
        if self.study.extractor.probabilities is None:
            raise TypeError(f"{self.study.extractor.id} does not classify")
        return self.study.extractor.probabilities(self.features)

    @cached_property
    def points(self) -> Tensor:
        """(N, *shape) float64 in the units of the source."""
        return self.study.data.spec.offset + self.study.data.spec.scale * self.x.double()

    @cached_property
    def from_training(self) -> Tensor:
        """Pixel distance of the first thousand examples to their nearest training example, (min(N, 1000),)."""
        queries = pixels(self.x[:MEMORISATION_QUERIES])
        return nearest_examples(queries, self.study.data.train, pixels, indices=self.study.searched)[0]

    @property
    def values(self) -> int:
        """Numbers in an example, as `from_training` compares them."""
        return prod(average_down(self.x[:1]).shape[1:])


@dataclass(frozen=True)
class Comparison:
    """Generated examples against real ones; with `intervals` off, values alone."""

    fake: Examples
    real: Examples
    study: Study
    intervals: bool = True

    @cached_property
    def neighbourhoods(self) -> Coverage:
        """What precision, recall, density and coverage are the means of, on the first ten thousand of each set."""
        return neighbourhoods(*(x.first(MOST_NEIGHBOURS).features for x in (self.real, self.fake)))

    def mean(self, units: Tensor, purpose: str) -> tuple[float, Interval | None]:
        """The mean of `units` (N,) and its interval."""
        generator = self.study.generator(purpose)
        return float(units.mean()), mean_interval(units, generator=generator) if self.intervals else None

    def resampled(
        self, statistic: Callable[..., float], *sets: Tensor, purpose: str, replicates: int = REPLICATES
    ) -> tuple[float, Interval | None]:
        """A statistic of some sets and its interval."""
        value = statistic(*sets)
        if not self.intervals:
            return value, None
        generator = self.study.generator(purpose)
        return value, resampled_interval(statistic, *sets, value=value, generator=generator, replicates=replicates)
