"""The metrics of series by name: how each is measured, which way is better, and what its floor is measured on."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import sqrt
from typing import NamedTuple

import torch
from torch import Tensor

from noiseforge.data.samples import Samples
from noiseforge.data.sequence_pictures import feature_names
from noiseforge.evaluation import sequence_statistics as statistics
from noiseforge.evaluation.bootstrap import Interval, resampled_interval, wilson
from noiseforge.evaluation.distances import fid
from noiseforge.evaluation.figures import Better, Measured
from noiseforge.evaluation.memorisation import nearest_ratio
from noiseforge.evaluation.sequence_judge import PREDICTING, official_judge, strong_judge, targets_of
from noiseforge.evaluation.sequence_kernels import classified
from noiseforge.evaluation.sequence_neighbours import window_starts
from noiseforge.evaluation.sequence_official import FEWEST, Told
from noiseforge.evaluation.sequence_study import MOST_JUDGED, SeriesStudy
from noiseforge.evaluation.sequence_view import view

REPLICATES = 40
"""Resamples of what is counted, which is dear to count on long series."""
MOST_WARPED = 200
"""Series of a kind between which time is warped."""
MOST_CLASSIFIED = 2_000
"""Series that a classifier learns from, and as many that it is tested on."""
CLOSEST = 0.01
"""Share of unseen real series that lie closest to training series."""
NOTHING_HELD_OUT = "nothing is held out: the published protocol, which a copy of the training series would pass"


class SeriesMetric(NamedTuple):
    """How a metric of series is measured, which way is better, and what keeps it from fitting, if anything."""

    measure: Callable[[SeriesStudy], Measured]
    better: Better
    missing: Callable[[SeriesStudy], str | None] = lambda study: None


# -- judges ----------------------------------------------------------------------------------------


def seeds_interval(values: Tensor) -> Interval | None:
    """95 % interval of the mean of values (n,), one for each seed, by Student's t; None of a single one.

    >>> seeds_interval(torch.tensor([1.0, 2.0, 3.0]))
    Interval(low=-0.484..., high=4.484...)
    """
    if len(values) < 2:
        return None
    from scipy.stats import t

    half = float(t.ppf(0.975, len(values) - 1)) * float(values.double().std()) / sqrt(len(values))
    return Interval(float(values.mean()) - half, float(values.mean()) + half)


def _by_seed(values: Tensor) -> str:
    each = ", ".join(f"{value:.4f}" for value in values.tolist())
    return f"by seed {each}; std {float(values.std()):.4f}, max {float(values.max()):.4f}"


def _judged(told: list[Told], place: int, n: int, identity: str, notes: list[str]) -> Measured:
    score, auc = told[place].score, told[place].auc
    interval = seeds_interval(score)
    return Measured(
        float(score.mean()),
        interval and Interval(max(interval.low, 0.0), min(interval.high, 0.5)),
        float(told[1].score.mean()),
        n,
        n,
        identity,
        "; ".join([f"AUC {float(auc.mean()):.3f}", _by_seed(score), *notes]),
    )


def _discriminative(place: int, study: SeriesStudy) -> Measured:
    n = min(len(study.samples.x), len(study.data.train))
    notes = ["against training series, as published"] if study.held_out else [NOTHING_HELD_OUT]
    return _judged(study.told, place, n, _size(study, "2000x128"), [*notes, "floor: the same series twice"])


def _discriminative_held_out(study: SeriesStudy) -> Measured:
    n = min(len(study.samples.x), len(study.data.test), len(study.data.train))
    baseline = f"PCA-Gaussian {float(study.told_held_out[2].score.mean()):.3f}"
    notes = ["against test series", "floor: training series against test series", baseline]
    return _judged(study.told_held_out, 0, n, _size(study, "2000x128"), notes)


def _strong(units: int, place: int, study: SeriesStudy) -> Measured:
    told, judge = study.strong(units), strong_judge(units)
    n = min(len(study.samples.x), len(study.data.train), MOST_JUDGED)
    split = "split at random" if window_starts(study.data.train) is None else "split by blocks of time"
    notes = [split, "floor: two halves of the training series"]
    return _judged(told, place, n, f"gru-2x{units}/{judge.iterations}x{judge.batch}", notes)


def _strong_as_official(units: int, study: SeriesStudy) -> Measured:
    n, judge = min(len(study.samples.x), len(study.data.train)), official_judge(units)
    overlap = "" if window_starts(study.data.train) is None else ", so that neighbours of test windows are learned from"
    notes = [f"split at random{overlap}", "floor: the same series twice"]
    identity = f"gru-2x{units}/{judge.iterations}x{judge.batch}"
    return _judged(study.strong_as_official(units), 0, n, identity, notes)


def _predictive(place: int, study: SeriesStudy) -> Measured:
    n = min(len(study.samples.x), len(study.data.train))
    values = study.foretold[place]
    notes = [_by_seed(values), "tested on training series, as published", "floor: learned from the same series"]
    return Measured(
        float(values.mean()),
        seeds_interval(values),
        float(study.foretold[1].mean()),
        n,
        n,
        _size(study, "5000x128"),
        "; ".join(notes),
    )


def _predictive_ratio(study: SeriesStudy) -> Measured:
    ratios, baseline = study.ratios
    n = min(len(study.samples.x), len(study.data.train))
    features = targets_of(study.data.spec.shape[1])
    worst = int(ratios.mean(1).argmax())
    notes = [
        _by_seed(ratios.mean(0)),
        f"{len(features)} features, tested on {'test' if study.held_out else 'training'} series",
        f"highest {float(ratios[worst].mean()):.2f}, of feature {feature_names(study.data.spec)[features[worst]]}",
        f"PCA-Gaussian {float(baseline.mean()):.2f}",
    ]
    value, interval = float(ratios.mean()), seeds_interval(ratios.mean(0))
    identity = f"gru-1x{PREDICTING.hidden}/{PREDICTING.iterations}x{PREDICTING.batch}"
    return Measured(value, interval, 1.0, len(study.data.test), n, identity, "; ".join(notes))


def _size(study: SeriesStudy, training: str) -> str:
    return f"gru-1x{max(study.data.spec.shape[1] // 2, 1)}/{training}"


def _too_few(study: SeriesStudy) -> str | None:
    enough = min(len(study.samples.x), len(study.data.train)) >= 2 * FEWEST
    return None if enough else f"{2 * FEWEST} samples and training series; leave it out"


def _one_step(study: SeriesStudy) -> str | None:
    return "series of two steps at least; leave it out" if study.data.spec.shape[0] < 2 else None


# -- what is counted -------------------------------------------------------------------------------


Form = Callable[[SeriesStudy, Samples], Tensor]
"""What of the series a statistic takes: a tensor whose first axis is of series."""


def _counted(statistic: Callable[[Tensor, Tensor], float], form: Form, identity: str, study: SeriesStudy) -> Measured:
    """A statistic of samples and test series; its floor is that of training series, the note that of the baseline."""
    n = study.counted
    real, ours = form(study, study.drawn("test", n)), form(study, study.ours(n))
    value = statistic(real, ours)
    chance = study.generator("resamples")
    spread = resampled_interval(statistic, real, ours, value=value, generator=chance, replicates=REPLICATES)
    floor, baseline = (statistic(real, form(study, other)) for other in (study.drawn("train", n), study.gaussian(n)))
    interval = spread and Interval(max(spread.low, min(value, 0.0)), spread.high)
    return Measured(value, interval, floor, n, len(ours), identity, f"PCA-Gaussian {baseline:.3g}")


def _masked(study: SeriesStudy, samples: Samples) -> Tensor:
    return statistics.masked(samples)


def _view(study: SeriesStudy, samples: Samples) -> Tensor:
    return view(samples.x, _length(samples) if study.ragged else None, study.data.spec).double()


def _power(study: SeriesStudy, samples: Samples) -> Tensor:
    return statistics.power(study.seen(samples))


def _kernels(study: SeriesStudy, samples: Samples) -> Tensor:
    return study.kernels(study.seen(samples)).double()


def _lengths(study: SeriesStudy) -> Measured:
    n = study.counted
    ours, real, train = (
        _length(samples) for samples in (study.ours(n), study.drawn("test", n), study.drawn("train", n))
    )
    found = statistics.lengths_compared(real, ours)
    floor = statistics.lengths_compared(real, train).statistic
    note = f"p {found.p:.2g}; median {float(ours.double().median()):g}, real {float(real.double().median()):g}"
    return Measured(found.statistic, None, floor, len(real), len(ours), "lengths", note)


def _length(samples: Samples) -> Tensor:
    return torch.full((len(samples.x),), samples.x.shape[1]) if samples.length is None else samples.length


def _missing(study: SeriesStudy) -> Measured:
    n = study.counted
    ours, real, train = study.ours(n), study.drawn("test", n), study.drawn("train", n)
    floor = statistics.missing_difference(real, train)
    return Measured(statistics.missing_difference(real, ours), None, floor, n, len(ours.x), "gaps")


def _warped(which: str, study: SeriesStudy) -> Measured:
    n = min(study.counted, MOST_WARPED)
    found, same, baseline = (getattr(coverage, which) for coverage in study.coverages(n))
    note = f"time warped by up to a tenth; PCA-Gaussian {baseline:.3g}"
    return Measured(found, wilson(found, n), same, n, n, "dtw", note)


# -- copies and labels -----------------------------------------------------------------------------


def _nearest_ratio(study: SeriesStudy) -> Measured:
    found, real = study.near
    ours = found.distance
    value, chance = nearest_ratio(ours, real), study.generator("nearest_ratio")
    interval = resampled_interval(nearest_ratio, ours, real, value=value, generator=chance)
    return Measured(value, interval, 1.0, len(real), len(ours), "whitened", _compared_with(study))


def _close_share(study: SeriesStudy) -> Measured:
    found, real = study.near
    limit = real.quantile(CLOSEST)
    share = float((found.distance < limit).double().mean())
    note = f"nearer than {float(limit):.3g}; {_compared_with(study)}"
    return Measured(
        share, wilson(share, len(found.distance)), CLOSEST, len(real), len(found.distance), "whitened", note
    )


def _compared_with(study: SeriesStudy) -> str:
    count = f"nearest of {len(study.data.train)} training series, against"
    return f"{count} {'test series' if study.held_out else 'training series that share no step with theirs'}"


def _no_near(study: SeriesStudy) -> str | None:
    return None if len(study.near[1]) > 1 else "training series that share no step with one another; leave it out"


def _recognised(study: SeriesStudy) -> Measured:
    """Accuracy on test series of a classifier that learned from samples; its floor learned from training series."""
    n = min(len(study.samples.x), len(study.data.train), MOST_CLASSIFIED)
    test, real, ours = study.drawn("test", MOST_CLASSIFIED), study.drawn("train", n), study.ours(n)
    assert test.y is not None, "the metric is measured only where it fits"
    right = []
    for learned in (ours, real):
        assert learned.y is not None, "the metric is measured only where it fits"
        found = classified(study.seen(learned), learned.y, study.seen(test))
        right.append(float((found == test.y).double().mean()))
    note = f"learned from {n} samples; floor: from as many training series"
    return Measured(right[0], wilson(right[0], len(test.y)), right[1], len(test.y), n, "random kernels, ridge", note)


def _no_labels(study: SeriesStudy) -> str | None:
    if study.data.train.labels is None or study.data.test.labels is None or study.samples.y is None:
        return "labels of the samples and of the real series; leave it out"
    return None if len(study.samples.y.unique()) > 1 else "samples of two labels at least; pass labels"


def _not_ragged(study: SeriesStudy) -> str | None:
    return None if study.ragged else "series of different lengths; leave it out"


def _no_gaps(study: SeriesStudy) -> str | None:
    return None if study.gaps else "series with missing values; leave it out"


def _not_held_out(study: SeriesStudy) -> str | None:
    return None if study.held_out else "test series that are no training series: split the data, or leave it out"


SERIES_METRICS: dict[str, SeriesMetric] = {
    "discriminative_score": SeriesMetric(partial(_discriminative, 0), "lower"),
    "discriminative_score_pca": SeriesMetric(partial(_discriminative, 2), "lower"),
    "discriminative_score_held_out": SeriesMetric(_discriminative_held_out, "lower", _not_held_out),
    "strong_judge_32": SeriesMetric(partial(_strong, 32, 0), "lower", _too_few),
    "strong_judge_32_pca": SeriesMetric(partial(_strong, 32, 2), "lower", _too_few),
    "strong_judge_64": SeriesMetric(partial(_strong, 64, 0), "lower", _too_few),
    "strong_judge_64_pca": SeriesMetric(partial(_strong, 64, 2), "lower", _too_few),
    "official_judge_32": SeriesMetric(partial(_strong_as_official, 32), "lower"),
    "official_judge_64": SeriesMetric(partial(_strong_as_official, 64), "lower"),
    "predictive_score": SeriesMetric(partial(_predictive, 0), "lower", _one_step),
    "predictive_score_pca": SeriesMetric(partial(_predictive, 2), "lower", _one_step),
    "predictive_ratio": SeriesMetric(_predictive_ratio, "lower", _one_step),
    "nearest_ratio": SeriesMetric(_nearest_ratio, "floor", _no_near),
    "close_share": SeriesMetric(_close_share, "lower", _no_near),
    "warped_coverage": SeriesMetric(partial(_warped, "real"), "higher"),
    "warped_precision": SeriesMetric(partial(_warped, "fake"), "higher"),
    "recognised": SeriesMetric(_recognised, "higher", _no_labels),
    "marginal_difference": SeriesMetric(partial(_counted, statistics.marginal_difference, _masked, "values"), "lower"),
    "skewness_difference": SeriesMetric(partial(_counted, statistics.skewness_difference, _masked, "values"), "lower"),
    "kurtosis_difference": SeriesMetric(partial(_counted, statistics.kurtosis_difference, _masked, "values"), "lower"),
    "autocorrelation_difference": SeriesMetric(
        partial(_counted, statistics.autocorrelation_difference, _masked, "values"), "lower", _one_step
    ),
    "correlation_difference": SeriesMetric(
        partial(_counted, statistics.correlation_difference, _masked, "values"), "lower"
    ),
    "spectral_distance": SeriesMetric(
        partial(_counted, statistics.spectral_distance, _power, "periodogram"), "lower", _one_step
    ),
    "kernel_distance": SeriesMetric(partial(_counted, statistics.kernel_distance, _view, "values"), "lower"),
    "frechet_kernels": SeriesMetric(partial(_counted, fid, _kernels, "random kernels"), "lower"),
    "length_difference": SeriesMetric(_lengths, "lower", _not_ragged),
    "missing_difference": SeriesMetric(_missing, "lower", _no_gaps),
}
ON_DEMAND = ("official_judge_32", "official_judge_64")
"""Metrics that take many minutes, and are measured only where they are asked for."""
QUICK = (
    "discriminative_score",
    "nearest_ratio",
    "close_share",
    "warped_coverage",
    "warped_precision",
    "marginal_difference",
    "autocorrelation_difference",
    "correlation_difference",
    "frechet_kernels",
)
"""The metrics of a short look: the official score, and some that train no network."""
