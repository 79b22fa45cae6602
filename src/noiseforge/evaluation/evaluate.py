"""The evaluation of samples against real data: every figure with its N, its interval and its floor."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from noiseforge.data.spec import Data, Dataset
from noiseforge.errors import UserError
from noiseforge.evaluation.classes import class_histogram
from noiseforge.evaluation.comparison import Comparison, Examples, Study
from noiseforge.evaluation.features import Extractor, check_name, default_features, extractor
from noiseforge.evaluation.figures import Evaluation, Figure
from noiseforge.evaluation.metrics import METRICS, Metric, check_fit, default_metrics

logger = logging.getLogger(__name__)

Progress = Callable[[str, float], None]
MOST_CLASSES = 100
"""Classes up to which an evaluation holds their histogram."""


class Sets(NamedTuple):
    """What is compared with what; all share the test examples."""

    equal: Comparison
    """As many samples as there are test examples."""
    every: Comparison
    """All samples."""
    paired_floor: Comparison | None
    """Training examples, as many; None where there are fewer."""
    floor: Comparison
    """The test examples themselves, for metrics that compare with nothing."""


def evaluate_samples(
    samples: Tensor,
    data: Data,
    *,
    labels: Tensor | None = None,
    features: str | Extractor | None = None,
    metrics: tuple[str, ...] | None = None,
    seed: int = 0,
    subject: str = "samples",
    device: str | torch.device = "cpu",
    cache: Path | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Measures samples against the test examples of `data`, and training examples against them for the floor.

    Args:
        samples: (N, *shape) in model units.
        data: the real data.
        labels: (N,) int64, what each sample was asked to be.
        features: a name, see `features.extractor`, or an extractor; the judge where there are labels, else `random`.
        metrics: names, see `metrics.METRICS`; all that fit by default.
        seed: of every random choice.
        subject: what the evaluation is of, in words or as a path.
        device: where networks run.
        cache: where judges are kept.
        progress: called with what is being done, and the share of it that is done.

    Raises:
        UserError: samples that are not finite, not like the data, or fewer than 2; metrics or features that are
            unknown or do not fit.
    """
    began = time.perf_counter()
    _check(samples, labels, data)
    tell = progress or (lambda stage, share: None)
    if isinstance(features, str):
        check_name(features)  # it is built late, or never where no metric asks for it
    study = Study(data, lambda: _extractor(features, data, device, cache, tell), seed)
    for name in metrics or ():
        check_fit(name, study, labelled=labels is not None)
    names = metrics or default_metrics(study, labelled=labels is not None)
    sets = _sets(samples, labels, study)
    figures = []
    for done, name in enumerate(names):
        tell(name, done / len(names))
        figures.append(_figure(name, METRICS[name], sets))
    accuracy = study.used_extractor.accuracy if study.used_extractor else None
    judged = accuracy is not None and len(data.spec.classes) <= MOST_CLASSES
    tell("evaluated", 1.0)
    return Evaluation(
        subject=subject,
        source=data.spec.source,
        fingerprint=data.spec.fingerprint,
        figures=tuple(figure for figure in figures if figure is not None),
        classes=data.spec.classes,
        class_histogram=_histogram(sets.every.fake) if judged else (),
        judge_accuracy=accuracy,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=round(time.perf_counter() - began, 3),
    )


def _check(samples: Tensor, labels: Tensor | None, data: Data) -> None:
    expected = data.spec.shape
    if samples.ndim != len(expected) + 1 or tuple(samples.shape[1:]) != expected:
        raise UserError(
            f"expected samples of shape (N, {', '.join(map(str, expected))}) like {data.spec.source}, "
            f"got {tuple(samples.shape)}"
        )
    if len(samples) < 2 or len(data.test) < 2:
        raise UserError(
            f"an evaluation needs at least 2 samples and 2 test examples, got {len(samples)} and {len(data.test)}"
        )
    bad = (~torch.isfinite(samples)).flatten(1).any(1)
    if bad.any():
        raise UserError(
            f"{int(bad.sum())} of {len(samples)} samples hold NaN or infinite values, the first is number "
            f"{int(bad.nonzero()[0])}; the model has diverged, or the file is damaged"
        )
    if labels is not None and (labels.shape != (len(samples),) or labels.is_floating_point()):
        raise UserError(
            f"expected one whole-number label for each of {len(samples)} samples, got {tuple(labels.shape)}"
        )


def _extractor(
    features: str | Extractor | None,
    data: Data,
    device: str | torch.device,
    cache: Path | None,
    tell: Progress,
) -> Extractor:
    if isinstance(features, Extractor):
        return features
    name = features or default_features(data.spec)
    return extractor(name, data, device=device, cache=cache, progress=lambda share: tell("training the judge", share))


def _sets(samples: Tensor, labels: Tensor | None, study: Study) -> Sets:
    # Shuffled, for files of samples often come sorted by class.
    order = torch.randperm(len(samples), generator=study.generator("samples"))
    ours = Examples(samples.detach().cpu().float()[order], None if labels is None else labels.cpu()[order], study)
    n = min(len(samples), len(study.data.test))
    test = _real(study.data.test, n, study, "test")
    train = _real(study.data.train, n, study, "train") if len(study.data.train) >= n else None
    return Sets(
        equal=Comparison(ours.first(n), test, study),
        every=Comparison(ours, test, study),
        paired_floor=None if train is None else Comparison(train, test, study, intervals=False),
        floor=Comparison(test, test, study, intervals=False),
    )


def _real(dataset: Dataset, n: int, study: Study, part: str) -> Examples:
    """n seeded examples of a part of the real data."""
    indices = torch.randperm(len(dataset), generator=study.generator(part))[:n]
    batch = dataset.batch(indices)
    return Examples(batch.x, batch.y, study)


def _figure(name: str, metric: Metric, sets: Sets) -> Figure | None:
    comparison = sets.every if metric.every else sets.equal
    measured = metric.measure(comparison)
    if not isfinite(measured.value):
        logger.warning("%s is %s and is left out", name, measured.value)
        return None
    real = sets.paired_floor if metric.paired else sets.floor
    notes = [measured.note] if measured.note else []
    if len(comparison.fake) < len(sets.every.fake):
        notes.append(f"{len(comparison.fake)} of {len(sets.every.fake)} samples, as many as there are test examples")
    if real is None:
        notes.append("no floor: there are fewer training examples than were compared")
    return Figure(
        metric=name,
        value=measured.value,
        low=measured.interval.low if measured.interval else None,
        high=measured.interval.high if measured.interval else None,
        floor=metric.measure(real).value if real else None,
        n_real=measured.n_real,
        n_fake=measured.n_fake,
        extractor=measured.extractor,
        seed=comparison.study.seed,
        better=metric.better,
        note="; ".join(notes),
    )


def _histogram(ours: Examples) -> tuple[float, ...]:
    return tuple(class_histogram(ours.probabilities).tolist())
