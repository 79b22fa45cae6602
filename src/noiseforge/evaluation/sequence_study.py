"""What all figures of one evaluation of series share: who is compared with whom, each part of it computed once."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property, partial

import torch
from torch import Tensor

from noiseforge.data.samples import Samples
from noiseforge.data.spec import Data, Dataset
from noiseforge.data.split import seeded
from noiseforge.evaluation.evaluate import Progress
from noiseforge.evaluation.sequence_baseline import gaussian_series, with_gaps
from noiseforge.evaluation.sequence_judge import official_judge, predictive_ratios, strong_scores, with_gaps_seen
from noiseforge.evaluation.sequence_kernels import Kernels
from noiseforge.evaluation.sequence_neighbours import (
    Closeness,
    Coverage,
    Nearest,
    overlapping,
    warped_coverage,
    window_starts,
)
from noiseforge.evaluation.sequence_official import Told, predicted, told_apart
from noiseforge.evaluation.sequence_runs import Pair
from noiseforge.evaluation.sequence_view import Filled, everything, filled, within

SEEDS = 5
"""Judges of the official scores."""
STRONG_SEEDS = 3
"""Strong judges, which cost more."""
MOST_JUDGED = 2_000
"""Series of a kind that strong judges see."""
MOST_COUNTED = 1_000
"""Series of a kind by which distributions are compared."""
MOST_FITTED = 4_096
"""Training series that a range, or a baseline, is taken from."""
MOST_VALUES = 1_500_000
"""Values of those series, all in all."""


@dataclass
class SeriesStudy:
    """Samples and real series, drawn by the seed in the numbers that each figure takes."""

    samples: Samples
    data: Data
    seed: int
    device: str | torch.device
    tell: Progress
    _strong: dict[int, list[Told]] = field(default_factory=dict)
    _coverages: list[Coverage] = field(default_factory=list)

    def generator(self, purpose: str) -> torch.Generator:
        """A stream of random numbers of its own."""
        return seeded(self.seed, "evaluation", purpose)

    @cached_property
    def held_out(self) -> bool:
        """Whether the test series are others than the training series."""
        train, test = self.data.train, self.data.test
        if len(train) != len(test):
            return True
        some = torch.linspace(0, len(train) - 1, min(len(train), 16)).long()
        return not torch.equal(train.batch(some).x.nan_to_num(-1.0), test.batch(some).x.nan_to_num(-1.0))

    @cached_property
    def gaps(self) -> bool:
        """Whether values are missing, in samples or in real series."""
        return bool(self.samples.x.isnan().any() or self.drawn("test", MOST_COUNTED).x.isnan().any())

    @cached_property
    def ragged(self) -> bool:
        """Whether lengths differ, of samples or of real series."""
        return self.samples.length is not None or self.drawn("test", 2).length is not None

    # -- who is compared ---------------------------------------------------------------------------

    def ours(self, n: int) -> Samples:
        """So many samples, or all where there are fewer."""
        order = torch.randperm(len(self.samples.x), generator=self.generator("samples"))[:n]
        return Samples(*(None if part is None else part[order] for part in self.samples))  # type: ignore[arg-type]

    def places(self, part: str, n: int) -> Tensor:
        """Where the drawn series of a part of the data, "train" or "test", lie in it."""
        return torch.randperm(len(self._part(part)), generator=self.generator(part))[:n]

    def drawn(self, part: str, n: int) -> Samples:
        """So many series of a part of the data, or all where there are fewer."""
        return everything(self._part(part), self.places(part, n))

    def gaussian(self, n: int) -> Samples:
        """So many series of the baseline, a Gaussian of the training series; no more than there are samples."""
        return Samples(*(None if part is None else part[:n] for part in self._gaussian))  # type: ignore[arg-type]

    @cached_property
    def _gaussian(self) -> Samples:
        chance, train = self.generator("gaussian"), self.drawn("train", MOST_FITTED)
        n = len(self.samples.x)
        made = gaussian_series(filled(train.x, train.length), n, spec=self.data.spec, generator=chance)
        return with_gaps(made, train.x, chance) if train.x.isnan().any() else Samples(made.x, length=made.length)

    @property
    def most(self) -> int:
        """Of how many series distributions are compared at most, 2 at least."""
        return max(min(MOST_COUNTED, MOST_VALUES // (self.data.spec.shape[0] * self.data.spec.shape[1])), 2)

    @property
    def counted(self) -> int:
        """Of how many series distributions are compared: as many samples as test series."""
        return min(self.most, len(self.data.test), len(self.samples.x))

    def _part(self, part: str) -> Dataset:
        return self.data.train if part == "train" else self.data.test

    # -- what judges see ---------------------------------------------------------------------------

    @cached_property
    def _range(self) -> tuple[Tensor, Tensor]:
        """The least and the greatest known value of each feature of the training series, (D,)."""
        train = self.drawn("train", MOST_FITTED)
        inside = filled(train.x, train.length)
        values = inside.x[within(inside.length, inside.x.shape[1])]
        return values.amin(0), values.amax(0)

    def unit(self, series: Filled) -> Filled:
        """Series in [0, 1], as the official scores take them: what is not scaled so is brought there."""
        if self.data.spec.value_range == (0.0, 1.0):
            return series
        low, high = self._range
        inside = within(series.length, series.x.shape[1])[..., None]
        return series._replace(x=(series.x - low) / (high - low).clamp(min=1e-6) * inside)

    def seen(self, samples: Samples) -> Filled:
        """Series as the official judges see them."""
        return self.unit(filled(samples.x, samples.length))

    def _strongly(self, samples: Samples, starts: Tensor | None = None) -> Filled:
        width = samples.x.shape[2]
        shown = with_gaps_seen(samples, gaps=self.gaps, starts=starts)
        scaled = self.unit(Filled(shown.x[..., :width], shown.length))
        return shown._replace(x=torch.cat([scaled.x, shown.x[..., width:]], 2))

    def _pairs(self, part: str) -> list[Pair]:
        """Samples, other real series, and the baseline, each against so many real series of a part."""
        n = min(len(self.samples.x), len(self._part(part)), len(self.data.train))
        real = self.seen(self.drawn(part, n))
        other = real if part == "train" else self.seen(self.drawn("train", n))
        return [Pair(real, fake) for fake in (self.seen(self.ours(n)), other, self.seen(self.gaussian(n)))]

    # -- what judges say ---------------------------------------------------------------------------

    @cached_property
    def told(self) -> list[Told]:
        """Official judges of samples, of the same series, and of the baseline, each against training series."""
        told = partial(self.tell, "official judges")
        return told_apart(self._pairs("train"), seeds=self._seeds(SEEDS), device=self.device, progress=told)

    @cached_property
    def told_held_out(self) -> list[Told]:
        """The same against test series: of samples, of training series, of the baseline."""
        told = partial(self.tell, "official judges, held-out series")
        return told_apart(self._pairs("test"), seeds=self._seeds(SEEDS), device=self.device, progress=told)

    @cached_property
    def foretold(self) -> Tensor:
        """The official predictive score, (3, 5): of samples, of the real series themselves, of the baseline."""
        told = partial(self.tell, "official predictors")
        return predicted(self._pairs("train"), seeds=self._seeds(SEEDS), device=self.device, progress=told)[:, 0]

    @cached_property
    def ratios(self) -> Tensor:
        """The predictive score of every feature over that of training series, (2, targets, 3): samples, baseline."""
        n = min(len(self.samples.x), len(self.data.train))
        test = self.seen(everything(self.data.test))
        learned = (self.drawn("train", n), self.ours(n), self.gaussian(n))
        pairs = [Pair(test, self.seen(series)) for series in learned]
        told = partial(self.tell, "predictors of every feature")
        return predictive_ratios(pairs, seeds=self._seeds(STRONG_SEEDS), device=self.device, progress=told)

    def strong(self, units: int) -> list[Told]:
        """Strong judges' scores: of samples, of two halves of the real series, of the baseline."""
        if units not in self._strong:
            self._strong[units] = self._strongly_told(units)
        return self._strong[units]

    def strong_as_official(self, units: int) -> list[Told]:
        """`told` by strong judges: with the official training, split and series, and without sight of gaps."""
        told, seeds = partial(self.tell, f"judges of {units} units"), self._seeds(STRONG_SEEDS)
        judge = official_judge(units)
        return told_apart(self._pairs("train")[:2], seeds=seeds, judge=judge, device=self.device, progress=told)

    def _strongly_told(self, units: int) -> list[Told]:
        n = min(len(self.samples.x), len(self.data.train), MOST_JUDGED)
        places = self.places("train", n)
        starts = window_starts(self.data.train)
        real = self._strongly(self.drawn("train", n), None if starts is None else starts[places])
        half = torch.arange(n // 2)
        pairs = [
            Pair(real, self._strongly(self.ours(n))),
            Pair(real.at(half), real.at(half + n // 2)),
            Pair(real, self._strongly(self.gaussian(n))),
        ]
        told, seeds = partial(self.tell, f"judges of {units} units"), self._seeds(STRONG_SEEDS)
        return strong_scores(pairs, units=units, seeds=seeds, device=self.device, progress=told)

    def _seeds(self, count: int) -> range:
        return range(self.seed, self.seed + count)

    # -- what lies where ---------------------------------------------------------------------------

    def coverages(self, n: int) -> list[Coverage]:
        """How far so many test series and samples lie in the same places, then training series, then the baseline."""
        if not self._coverages:
            real = self.seen(self.drawn("test", n))
            others = (self.ours(n), self.drawn("train", n), self.gaussian(n))
            places = self.places("test", n)
            same = overlapping(self.data.test, places, places)
            self._coverages += [warped_coverage(real, self.seen(other), same=same) for other in others]
        return self._coverages

    @cached_property
    def kernels(self) -> Kernels:
        """Random kernels for series like the training series."""
        return Kernels(self.seen(self.drawn("train", MOST_COUNTED)))

    @cached_property
    def near(self) -> tuple[Nearest, Tensor]:
        """The training series nearest to samples, and the distances (n,) of unseen real ones to theirs.

        Where nothing is held out these are training series, and their neighbours share no step with them.
        """
        n = self.most
        ours, closeness = self.ours(n), Closeness(self.data.train)
        found = closeness.nearest(filled(ours.x, ours.length))
        part = "test" if self.held_out else "train"
        real, places = self.drawn(part, n), self.places(part, n)
        own = None if self.held_out else places
        distances = closeness.nearest(filled(real.x, real.length), own=own).distance
        return found, distances[distances.isfinite()]
