"""The metrics by name: how each is measured, which way is better, and what its floor is measured on."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from noiseforge.data.builtin import STACKED, Mixture
from noiseforge.errors import UserError, unknown
from noiseforge.evaluation.bootstrap import Interval, frechet_replicates, normal_interval
from noiseforge.evaluation.classes import (
    class_histogram,
    inception_score,
    mixture_modes,
    modes_and_kl,
    reverse_kl_floor,
    shares,
)
from noiseforge.evaluation.comparison import Comparison, Measurement, Study
from noiseforge.evaluation.distances import fid, fid_infinity, kid
from noiseforge.evaluation.features import pixel_identity
from noiseforge.evaluation.figures import Better
from noiseforge.evaluation.memorisation import copies, nearest_ratio
from noiseforge.evaluation.neighbours import nearest, pairwise_distance


class Metric(NamedTuple):
    """How a metric is measured."""

    measure: Callable[[Comparison], Measurement]
    better: Better
    paired: bool = True
    """It compares with real examples, and its floor is training examples against test examples; else test alone."""
    every: bool = False
    """It looks at all samples, where others look at as many as there are test examples."""


def default_metrics(study: Study, *, labelled: bool) -> tuple[str, ...]:
    """The metrics that fit the data, the extractor, and whether the samples carry labels."""
    if study.mixture:
        return MIXTURE
    if study.data.spec.source.startswith(STACKED) and study.extractor.accuracy is not None:
        return (*PAIRED, "modes", "reverse_kl")
    score = ("inception_score",) if study.extractor.probabilities else ()
    agreement = ("label_agreement",) if labelled else ()
    shares = () if study.extractor.accuracy is None else (*agreement, "class_min_share")
    return (*PAIRED, *score, *shares, *FROM_TRAINING)


def check_fit(name: str, study: Study, *, labelled: bool) -> None:
    """Refuses a metric that cannot be measured.

    Raises:
        UserError: an unknown name, or the reason why it does not fit the data, the extractor or the samples.
    """
    if name not in METRICS:
        raise unknown("metric", name, METRICS)
    if name in MIXTURE and study.mixture:
        return
    if name == "high_quality":
        raise UserError(f"high_quality is for ring and grid, and the data is {study.data.spec.source}; leave it out")
    if name == "label_agreement" and not labelled:
        raise UserError("label_agreement needs the labels that the samples were asked for; pass labels")
    if name in OF_CLASSES and study.extractor.accuracy is None:
        raise UserError(f"{name} needs a judge of the data's classes, got {study.extractor.id}; use features=judge")
    if name == "inception_score" and study.extractor.probabilities is None:
        raise UserError(f"{name} needs class probabilities, got {study.extractor.id}; use features=judge or inception")


def _fid(c: Comparison) -> Measurement:
    real, fake = c.real.features, c.fake.features
    rows, d = len(real) + len(fake), real.shape[1]
    value, interval = c.resampled(fid, real, fake, purpose="fid", replicates=frechet_replicates(rows, d))
    note = (
        f"covariance of rank {min(len(real), len(fake)) - 1} in {d} dimensions"
        if min(len(real), len(fake)) <= d
        else ""
    )
    return _paired(c, value, _not_negative(interval), note)


def _fid_infinity(c: Comparison) -> Measurement:
    estimate = fid_infinity(c.real.features, c.fake.features, generator=c.study.generator("fid_infinity"))
    return _paired(c, estimate.value, normal_interval(*estimate))


def _kid(c: Comparison) -> Measurement:
    estimate = kid(c.real.features, c.fake.features, generator=c.study.generator("kid"))
    return _paired(c, estimate.value, normal_interval(*estimate))


def _neighbourhood(name: str, c: Comparison) -> Measurement:
    value, interval = c.mean(getattr(c.neighbourhoods, name), name)
    n_real, n_fake = len(c.neighbourhoods.coverage), len(c.neighbourhoods.precision)
    return Measurement(value, interval, n_real, n_fake, c.study.extractor.id)


def _pairwise_ratio(c: Comparison) -> Measurement:
    return _paired(c, pairwise_distance(c.fake.features) / pairwise_distance(c.real.features), None)


def _nearest_ratio(c: Comparison) -> Measurement:
    ours, real = c.fake.from_training, c.real.from_training
    value, interval = c.resampled(nearest_ratio, ours, real, purpose="nearest_ratio")
    return Measurement(value, interval, len(real), len(ours), pixel_identity(c.study.data.spec), _searched(c))


def _copies(c: Comparison) -> Measurement:
    units = copies(c.fake.from_training, c.fake.values)
    return Measurement(*c.mean(units, "copies"), 0, len(units), pixel_identity(c.study.data.spec), _searched(c))


def _inception_score(c: Comparison) -> Measurement:
    value, interval = c.resampled(lambda p: inception_score(p)[0], c.fake.probabilities, purpose="inception_score")
    return _alone(c, value, interval, "mean of 10 splits")


def _label_agreement(c: Comparison) -> Measurement:
    right = c.fake.probabilities.argmax(1) == c.fake.labels
    return _alone(c, *c.mean(torch.as_tensor(right).double(), "label_agreement"))


def _class_min_share(c: Comparison) -> Measurement:
    classes = c.fake.probabilities.shape[1]
    value, interval = c.resampled(
        lambda labels: float(shares(labels, classes).min()),
        c.fake.probabilities.argmax(1),
        purpose="class_min_share",
    )
    rarest = c.study.data.spec.classes[int(class_histogram(c.fake.probabilities).argmin())]
    return _alone(c, value, _not_negative(interval), f"rarest: {rarest}")


def _modes(c: Comparison) -> Measurement:
    if drawn_from := c.study.mixture:
        modes, classes = mixture_modes(c.fake.points, *drawn_from).modes, len(drawn_from.means)
    else:
        classes = c.fake.probabilities.shape[1]
        modes = modes_and_kl(c.fake.probabilities.argmax(1), classes).modes
    return _alone(c, modes, None, f"of {classes}")


def _high_quality(c: Comparison) -> Measurement:
    def share(points: Tensor) -> float:
        return mixture_modes(points, *_mixture(c)).high_quality

    return _alone(c, *c.resampled(share, c.fake.points, purpose="high_quality"), "within 3 sigma of a mean")


def _reverse_kl(c: Comparison) -> Measurement:
    if drawn_from := c.study.mixture:
        classes, seen = len(drawn_from.means), nearest(c.fake.points, drawn_from.means)[1]
    else:
        classes, seen = c.fake.probabilities.shape[1], c.fake.probabilities.argmax(1)

    def divergence(labels: Tensor) -> float:
        return modes_and_kl(labels, classes).reverse_kl

    value, interval = c.resampled(divergence, seen, purpose="reverse_kl")
    perfect = reverse_kl_floor(len(seen), classes, c.study.generator("reverse_kl_floor"))
    return _alone(c, value, _not_negative(interval), f"nats; a perfect sampler scores {perfect:.2g} at this N")


def _mixture(c: Comparison) -> Mixture:
    if c.study.mixture is None:
        raise UserError(f"high_quality is for the mixtures ring and grid, and the data is {c.study.data.spec.source}")
    return c.study.mixture


def _paired(c: Comparison, value: float, interval: Interval | None, note: str = "") -> Measurement:
    return Measurement(value, interval, len(c.real), len(c.fake), c.study.extractor.id, note)


def _alone(c: Comparison, value: float, interval: Interval | None, note: str = "") -> Measurement:
    identity = "nearest-mean" if c.study.mixture else c.study.extractor.id
    return Measurement(value, interval, 0, len(c.fake), identity, note)


def _not_negative(interval: Interval | None) -> Interval | None:
    return interval and Interval(max(interval.low, 0.0), interval.high)


def _searched(c: Comparison) -> str:
    return f"nearest of {len(c.study.searched)} training examples"


METRICS: dict[str, Metric] = {
    "fid": Metric(_fid, "lower"),
    "fid_infinity": Metric(_fid_infinity, "lower"),
    "kid": Metric(_kid, "lower"),
    "precision": Metric(partial(_neighbourhood, "precision"), "higher"),
    "recall": Metric(partial(_neighbourhood, "recall"), "higher"),
    "density": Metric(partial(_neighbourhood, "density"), "higher"),
    "coverage": Metric(partial(_neighbourhood, "coverage"), "higher"),
    "pairwise_ratio": Metric(_pairwise_ratio, "floor"),
    "inception_score": Metric(_inception_score, "higher", paired=False),
    "label_agreement": Metric(_label_agreement, "higher", paired=False, every=True),
    "class_min_share": Metric(_class_min_share, "higher", paired=False, every=True),
    "modes": Metric(_modes, "higher", paired=False),
    "high_quality": Metric(_high_quality, "higher", paired=False),
    "reverse_kl": Metric(_reverse_kl, "lower", paired=False),
    "nearest_ratio": Metric(_nearest_ratio, "floor", paired=False),
    "copies": Metric(_copies, "lower", paired=False),
}

PAIRED = ("fid", "fid_infinity", "kid", "precision", "recall", "density", "coverage")
FROM_TRAINING = ("nearest_ratio", "copies")
MIXTURE = ("modes", "high_quality", "reverse_kl")
OF_CLASSES = ("label_agreement", "class_min_share", "modes", "reverse_kl")
