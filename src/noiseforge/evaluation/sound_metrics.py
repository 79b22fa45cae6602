"""The evaluation of sound: all that pictures are judged by, on spectrograms, and what is of sound alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from noiseforge.data.samples import Samples
from noiseforge.data.spec import Data, Dataset
from noiseforge.data.split import seeded
from noiseforge.errors import UserError, unknown
from noiseforge.evaluation.bootstrap import Interval, resampled_interval, wilson
from noiseforge.evaluation.classes import shares
from noiseforge.evaluation.evaluate import Progress, evaluate_samples
from noiseforge.evaluation.features import Extractor, extractor
from noiseforge.evaluation.figures import Better, Evaluation, Figure, Measured
from noiseforge.evaluation.hearing import By, Heard, hear, heard_samples, judged_by, lengths
from noiseforge.evaluation.metrics import METRICS
from noiseforge.evaluation.sound_statistics import (
    ClipFacts,
    cells,
    cells_floor,
    clip_facts,
    nearest_clips,
    sorted_distance,
    spectrum_distance,
)

MOST_SEARCHED = 1_000
"""Samples whose nearest training clips are looked for."""
CLOSE = 0.5
"""Of the median distance from unseen real clips to their nearest training clip: what is nearer is close to a copy."""


class SoundMetric(NamedTuple):
    """How a metric of sound is measured, which way is better, and what keeps it from fitting, if anything."""

    measure: Callable[[SoundStudy], Measured]
    better: Better
    missing: Callable[[SoundStudy], str | None] = lambda study: None


@dataclass
class SoundStudy:
    """What all metrics of one evaluation of sound share, each part of it computed once."""

    samples: Samples
    heard: Heard
    seed: int
    device: str | torch.device
    cache: Path | None
    tell: Progress
    judges: dict[By, Extractor] = field(default_factory=dict)
    answers: dict[By, Tensor] = field(default_factory=dict)

    @cached_property
    def pictures(self) -> Tensor:
        """Of all samples, (N, 1, M, F)."""
        return heard_samples(self.samples, self.heard.ear)

    @property
    def kind(self) -> By:
        """What the pictures are judged by."""
        return judged_by(self.heard.sound.spec)

    def judge(self, by: By) -> Extractor:
        """The judge of labels or of speakers."""
        if by not in self.judges:
            told = partial(self.tell, f"training the judge of {by}s")
            data = self.heard.by(by)
            self.judges[by] = extractor("judge", data, device=self.device, cache=self.cache, progress=told)
        return self.judges[by]

    def found(self, by: By) -> Tensor:
        """What the judge takes each sample for, (N,) int64."""
        if by not in self.answers:
            judge = self.judge(by)
            assert judge.probabilities is not None, "judges give probabilities"
            self.answers[by] = judge.probabilities(judge.features(self.pictures)).argmax(1)
        return self.answers[by]

    def generator(self, purpose: str) -> torch.Generator:
        """A stream of random numbers of its own."""
        return seeded(self.seed, "evaluation", purpose)

    @cached_property
    def facts(self) -> tuple[ClipFacts, ClipFacts, ClipFacts | None]:
        """Of as many samples as there are test clips, of those, and of as many training clips where there are."""
        x, _, length, _ = self.samples
        sound = self.heard.sound
        n = min(len(x), len(sound.test))
        ours = torch.randperm(len(x), generator=self.generator("samples"))[:n]
        training = self._real(sound.train, n, "train") if len(sound.train) >= n else None
        return self._facts(x[ours], lengths(x, length)[ours]), self._real(sound.test, n, "test"), training

    def _real(self, dataset: Dataset, n: int, part: str) -> ClipFacts:
        x, _, length, _ = dataset.batch(torch.randperm(len(dataset), generator=self.generator(part))[:n])
        return self._facts(x, lengths(x, length))

    def _facts(self, x: Tensor, length: Tensor) -> ClipFacts:
        ear = self.heard.ear
        return clip_facts(x, length, ear.sample_rate, n_fft=ear.n_fft, hop=ear.hop)


def evaluate_sound(
    samples: Samples,
    data: Data,
    *,
    features: str | Extractor | None = None,
    metrics: tuple[str, ...] | None = None,
    seed: int = 0,
    subject: str = "samples",
    device: str | torch.device = "cpu",
    cache: Path | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Measures clips against the test clips of `data`, as pictures and as sound.

    The metrics of pictures, see `evaluate_samples`, look at spectrograms, see `hearing.Ear`. Judges are of the labels,
    or of the speakers where there are no labels, or of both where a metric asks for both.

    Args:
        samples: x (N, 1, T), with the labels and speakers that were asked for, and with true lengths.
        data: the real sound.
        features: as of `evaluate_samples`, on spectrograms.
        metrics: names, see `metrics.METRICS` and `SOUND_METRICS`; all that fit by default.
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
    _check(samples, data)
    for name in metrics or ():
        if name not in METRICS and name not in SOUND_METRICS:
            raise unknown("metric", name, {*METRICS, *SOUND_METRICS})
    tell = progress or (lambda stage, share: None)
    x, *told = samples
    samples = Samples(x.detach().cpu().float(), *(None if part is None else part.cpu() for part in told))
    study = SoundStudy(samples, hear(data), seed, device, cache, tell)
    names = _fitting(study, metrics)
    seen = None if metrics is None else tuple(name for name in metrics if name not in SOUND_METRICS)
    whole = _seen(study, features, seen, subject)
    figures = []
    for done, name in enumerate(names):
        tell(name, done / len(names))
        figures.append(_figure(name, study))
    tell("evaluated", 1.0)
    return whole.model_copy(
        update={
            "fingerprint": data.spec.fingerprint,
            "figures": (*whole.figures, *figures),
            "seconds": round(time.perf_counter() - began, 3),
        }
    )


def _check(samples: Samples, data: Data) -> None:
    x, y, length, speaker = samples
    spec = data.spec
    if x.ndim != 3 or x.shape[1] != 1 or x.shape[2] == 0:
        raise UserError(f"expected samples of shape (N, 1, T) like {spec.source}, got {tuple(x.shape)}")
    if len(x) < 2 or len(data.test) < 2:
        raise UserError(f"an evaluation needs at least 2 samples and 2 test clips, got {len(x)} and {len(data.test)}")
    bad = (~torch.isfinite(x)).flatten(1).any(1)
    if bad.any():
        raise UserError(
            f"{int(bad.sum())} of {len(x)} samples hold NaN or infinite values, the first is number "
            f"{int(bad.nonzero()[0])}; the model has diverged, or the file is damaged"
        )
    most = {"length": x.shape[2], "label": len(spec.classes) - 1, "speaker": len(spec.speakers) - 1}
    for (name, highest), given in zip(most.items(), (length, y, speaker), strict=True):
        lowest = 1 if name == "length" else 0
        if given is None:
            continue
        if given.shape != (len(x),) or given.is_floating_point():
            raise UserError(f"expected one whole-number {name} for each of {len(x)} samples, got {tuple(given.shape)}")
        if int(given.min()) < lowest or int(given.max()) > highest:
            raise UserError(
                f"expected {name}s from {lowest} to {highest} like {spec.source}, got {int(given.min())} to "
                f"{int(given.max())}"
            )


def _fitting(study: SoundStudy, metrics: tuple[str, ...] | None) -> tuple[str, ...]:
    """The metrics of sound that are measured; a UserError where one that was asked for does not fit."""
    if metrics is None:
        return tuple(name for name, metric in SOUND_METRICS.items() if metric.missing(study) is None)
    names = tuple(name for name in metrics if name in SOUND_METRICS)
    for name in names:
        if missing := SOUND_METRICS[name].missing(study):
            raise UserError(f"{name} needs {missing}")
    return names


def _seen(
    study: SoundStudy, features: str | Extractor | None, metrics: tuple[str, ...] | None, subject: str
) -> Evaluation:
    """The evaluation of the spectrograms as pictures; one without figures where no metric of pictures is wanted."""
    data = study.heard.by(study.kind)
    if metrics == ():
        created = datetime.now(UTC).isoformat(timespec="seconds")
        return Evaluation(subject=subject, source=data.spec.source, figures=(), created=created, seconds=0.0)
    return evaluate_samples(
        study.pictures,
        data,
        features=features,
        metrics=metrics,
        seed=study.seed,
        subject=subject,
        device=study.device,
        cache=study.cache,
        progress=study.tell,
    )


def _figure(name: str, study: SoundStudy) -> Figure:
    metric = SOUND_METRICS[name]
    return metric.measure(study).named(name, better=metric.better, seed=study.seed)


# -- what judges hear ------------------------------------------------------------------------------


def _agreement(by: By, study: SoundStudy) -> Measured:
    asked = study.samples.y if by == "label" else study.samples.speaker
    assert asked is not None, "the metric is measured only where it fits"
    right, n = int((study.found(by) == asked).sum()), len(asked)
    judge, n_test = study.judge(by), len(study.heard.sound.test)
    assert judge.accuracy is not None, "a judge of the data's own classes is scored on its test clips"
    low, high = wilson(judge.accuracy, n_test)
    note = f"{right} of {n}; the judge is right on {low:.1%} to {high:.1%} of real clips, by {n_test} test clips"
    return Measured(right / n, wilson(right / n, n), judge.accuracy, 0, n, judge.id, note)


def _not_asked(by: By, study: SoundStudy) -> str | None:
    asked, known = (
        (study.samples.y, study.heard.sound.spec.classes)
        if by == "label"
        else (study.samples.speaker, study.heard.sound.spec.speakers)
    )
    if len(known) < 2:
        return f"a judge of {by}s, and {study.heard.sound.spec.source} names {len(known)}; leave it out"
    return f"the {by}s that the samples were asked for; pass {by}s" if asked is None else None


def _cells(measure: str, study: SoundStudy) -> Measured:
    spec, training = study.heard.sound.spec, study.heard.train
    assert training.labels is not None and training.speakers is not None, "the metric is measured only where it fits"
    count = len(spec.classes) * len(spec.speakers)
    real = shares(training.labels * len(spec.speakers) + training.speakers, count)
    ours = study.found("label") * len(spec.speakers) + study.found("speaker")
    found, n = cells(shares(ours, count), real), len(ours)
    floor = cells_floor(real, n, study.generator("cells"))
    identity = f"{study.judge('label').id}+{study.judge('speaker').id}"
    note = f"of {int((real > 0).sum())} pairs of label and speaker; floor: {n} draws from the training clips' shares"
    return Measured(getattr(found, measure), None, getattr(floor, measure), len(training.labels), n, identity, note)


def _no_cells(study: SoundStudy) -> str | None:
    spec, training = study.heard.sound.spec, study.heard.train
    if min(len(spec.classes), len(spec.speakers)) > 1 and training.labels is not None and training.speakers is not None:
        return None
    return f"labels and speakers of the training clips, and {spec.source} lacks one of them; leave it out"


def _close_copies(study: SoundStudy) -> Measured:
    data = study.heard.by(study.kind)
    ours, unseen = (
        torch.randperm(n, generator=study.generator("copies"))[:MOST_SEARCHED]
        for n in (len(study.pictures), len(data.test))
    )
    distance = nearest_clips(study.pictures[ours], data.train).distance
    real = nearest_clips(data.test.batch(unseen).x, data.train).distance
    limit = CLOSE * real.median()
    units = (distance < limit).double()
    note = f"nearer than {float(limit):.3g}, half the median of unseen real clips; nearest of {len(data.train)} clips"
    interval = wilson(float(units.mean()), len(units))
    floor = float((real < limit).double().mean())
    return Measured(float(units.mean()), interval, floor, len(real), len(units), study.heard.ear.id, note)


# -- the sound itself ------------------------------------------------------------------------------


def _distance(fact: str, distance: Callable[[Tensor, Tensor], float], unit: str, study: SoundStudy) -> Measured:
    ours, real, training = ((None if facts is None else getattr(facts, fact)) for facts in study.facts)
    assert ours is not None and real is not None, "only training clips may be too few"
    value = distance(ours, real)
    interval = resampled_interval(distance, ours, real, value=value, generator=study.generator(fact))
    if interval:
        interval = Interval(max(interval.low, 0.0), interval.high)
    floor = None if training is None else distance(training, real)
    note = unit if fact == "spectrum" else f"{unit}; median {float(ours.median()):.3g}, real {float(real.median()):.3g}"
    return Measured(value, interval, floor, len(real), len(ours), study.heard.ear.id, note)


SOUND_METRICS: dict[str, SoundMetric] = {
    "label_agreement": SoundMetric(partial(_agreement, "label"), "higher", partial(_not_asked, "label")),
    "speaker_agreement": SoundMetric(partial(_agreement, "speaker"), "higher", partial(_not_asked, "speaker")),
    "cell_coverage": SoundMetric(partial(_cells, "coverage"), "higher", _no_cells),
    "cell_distance": SoundMetric(partial(_cells, "distance"), "lower", _no_cells),
    "close_copies": SoundMetric(_close_copies, "lower"),
    "spectrum_distance": SoundMetric(partial(_distance, "spectrum", spectrum_distance, "dB"), "lower"),
    "level_distance": SoundMetric(partial(_distance, "level", sorted_distance, "dB"), "lower"),
    "crossings_distance": SoundMetric(partial(_distance, "crossings", sorted_distance, "per second"), "lower"),
    "duration_distance": SoundMetric(partial(_distance, "duration", sorted_distance, "s"), "lower"),
}
