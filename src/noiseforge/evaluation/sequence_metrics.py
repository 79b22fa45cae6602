"""The evaluation of series: every figure that fits, with its number of series, its interval and its floor."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path

import torch

from noiseforge.data.samples import Samples
from noiseforge.data.spec import Data
from noiseforge.errors import UserError, unknown
from noiseforge.evaluation.evaluate import Progress
from noiseforge.evaluation.figures import Evaluation, Figure
from noiseforge.evaluation.sequence_measures import ON_DEMAND, SERIES_METRICS
from noiseforge.evaluation.sequence_official import FEWEST
from noiseforge.evaluation.sequence_study import SeriesStudy
from noiseforge.evaluation.sequence_view import fitted


def evaluate_series(
    samples: Samples,
    data: Data,
    *,
    features: object = None,
    metrics: tuple[str, ...] | None = None,
    seed: int = 0,
    subject: str = "samples",
    device: str | torch.device = "cpu",
    cache: Path | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Measures generated series against those of `data`.

    The official scores compare with training series, as they are published, and again with test series; all else
    compares with test series, and the floor is what training series score there.

    Args:
        samples: x (N, T, D) in model units, NaN where a value is missing, with lengths and labels where there are any.
        data: the real series.
        features: none can be chosen.
        metrics: names, see `sequence_measures.SERIES_METRICS`; all that fit by default but for those `ON_DEMAND`.
        seed: of every random choice; judges have this seed and the ones after it.
        subject: what the evaluation is of, in words or as a path.
        device: where judges are trained.
        cache: of no use here, for judges are trained for the samples.
        progress: called with what is being done, and the share of it that is done.

    Raises:
        UserError: samples that are infinite, all missing, not like the data, or fewer than 5; metrics that are unknown
            or do not fit.
    """
    began = time.perf_counter()
    if features is not None:
        raise UserError("features are of pictures and of sound; series have judges of their own: leave features out")
    study = SeriesStudy(_checked(samples, data), data, seed, device, progress or (lambda stage, share: None))
    names = _fitting(study, metrics)
    figures = []
    for done, name in enumerate(names):
        study.tell(name, done / len(names))
        figures.append(_figure(name, study))
    study.tell("evaluated", 1.0)
    return Evaluation(
        subject=subject,
        source=data.spec.source,
        fingerprint=data.spec.fingerprint,
        reference="test" if study.held_out else "train",
        figures=tuple(figure for figure in figures if figure is not None),
        classes=data.spec.classes,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=round(time.perf_counter() - began, 3),
    )


def _checked(samples: Samples, data: Data) -> Samples:
    """The samples on the CPU, with T steps, or the reason why they cannot be judged."""
    x, y, length = (None if part is None else part.detach().cpu() for part in samples[:3])
    assert x is not None, "samples have values"
    steps, features = data.spec.shape
    if x.ndim != 3 or x.shape[2] != features or x.shape[1] == 0:
        raise UserError(f"expected samples of shape (N, T, {features}) like {data.spec.source}, got {tuple(x.shape)}")
    if len(x) < FEWEST or min(len(data.train), len(data.test)) < FEWEST:
        raise UserError(
            f"an evaluation needs {FEWEST} samples, training series and test series, got {len(x)}, {len(data.train)} "
            f"and {len(data.test)}"
        )
    bad = x.isinf().flatten(1).any(1) | x.isnan().flatten(1).all(1)
    if bad.any():
        raise UserError(
            f"{int(bad.sum())} of {len(x)} samples hold infinite values or none at all, the first is number "
            f"{int(bad.nonzero()[0])}; the model has diverged, or the file is damaged"
        )
    for name, given, most in (("length", length, x.shape[1]), ("label", y, max(len(data.spec.classes) - 1, 0))):
        least = 1 if name == "length" else 0
        if given is None:
            continue
        if given.shape != (len(x),) or given.is_floating_point() or int(given.min()) < least or int(given.max()) > most:
            raise UserError(f"expected one {name} from {least} to {most} for each of {len(x)} samples")
    if x.shape[1] != steps:
        length = (torch.full((len(x),), x.shape[1]) if length is None else length).clamp(max=steps)
    return Samples(fitted(x.float(), steps), y, length)


def _fitting(study: SeriesStudy, metrics: tuple[str, ...] | None) -> tuple[str, ...]:
    """The metrics that are measured; a UserError where one that was asked for is unknown or does not fit."""
    if metrics is None:
        usual = {name: metric for name, metric in SERIES_METRICS.items() if name not in ON_DEMAND}
        return tuple(name for name, metric in usual.items() if metric.missing(study) is None)
    for name in metrics:
        if name not in SERIES_METRICS:
            raise unknown("metric", name, SERIES_METRICS)
        if missing := SERIES_METRICS[name].missing(study):
            raise UserError(f"{name} needs {missing}")
    return metrics


def _figure(name: str, study: SeriesStudy) -> Figure | None:
    metric = SERIES_METRICS[name]
    found = metric.measure(study)
    return found.named(name, better=metric.better, seed=study.seed) if isfinite(found.value) else None
