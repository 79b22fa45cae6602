"""What a source holds and what is wrong with it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import torch
from torch import Tensor

from noiseforge.data.clips import Clips
from noiseforge.data.examples import CHUNK
from noiseforge.data.level import LOWEST
from noiseforge.data.series import Series
from noiseforge.data.spec import Data, Dataset

SAMPLE = 20_000
"""Examples that are looked at, fewer where they would take more than SAMPLE_BYTES."""

SAMPLE_BYTES = 2**30

IMBALANCE = 10.0
"""The largest class over the smallest, above which it is called a problem."""


def describe(data: Data) -> dict[str, object]:
    """Count, shape, classes, values and faults of a source, in plain words and values that JSON can hold.

    Values are in source units and, like duplicates, come from the first examples, up to 20,000 of each part.

    >>> from noiseforge.data.source import load_data
    >>> description = describe(load_data("digits"))
    >>> description["training examples"], description["largest value"], description["duplicates in training"]
    (1618, 16.0, 0)
    """
    if isinstance(data.train, Clips) and isinstance(data.test, Clips):
        return _describe_sound(data, data.train, data.test)
    if isinstance(data.train, Series) and isinstance(data.test, Series):
        from noiseforge.data.series_description import describe_series

        return describe_series(data, data.train, data.test)
    train, test = _Survey(data.train), _Survey(data.test)
    copies = len(train.hashes) - len(set(train.hashes))
    leaked = len(set(train.hashes).intersection(test.hashes))
    constant = train.constant + test.constant
    counts = class_counts(data)
    imbalance = class_imbalance(counts)
    mean, deviation = train.moments(data.spec.offset, data.spec.scale)
    problems = [
        *data.problems,
        *told_of_copies(copies, leaked),
        *told("examples with one value everywhere", constant),
        *told_of_classes(counts, imbalance),
    ]
    return {
        "source": data.spec.source,
        "modality": data.spec.modality,
        "shape": list(data.spec.shape),
        "training examples": len(data.train),
        "test examples": len(data.test),
        "classes": counts,
        "class imbalance": imbalance,
        "smallest value": data.spec.offset + data.spec.scale * train.low,
        "largest value": data.spec.offset + data.spec.scale * train.high,
        "mean": mean,
        "standard deviation": deviation,
        "examples looked at": len(train.hashes),
        "duplicates in training": copies,
        "test examples also in training": leaked,
        "constant examples": constant,
        "fingerprint": data.spec.fingerprint,
        "problems": problems,
    }


def _describe_sound(data: Data, train: Clips, test: Clips) -> dict[str, object]:
    """Of sound: levels, offsets and clipping are those of the recordings, before they were brought to one level."""
    hashes = [_clip_hashes(part) for part in (train, test)]
    copies, leaked = len(hashes[0]) - len(set(hashes[0])), len(set(hashes[0]).intersection(hashes[1]))
    counts = class_counts(data)
    table, rows = train.table, torch.cat([train.rows, test.rows])
    rates, numbers = table.rate[rows].unique(return_counts=True)
    clipped = int(table.clipped[rows].sum())
    offset = float(table.offset[rows].abs().max())
    rate = data.spec.sample_rate or 1
    problems = [
        *data.problems,
        *told_of_copies(copies, leaked),
        *told_of_classes(counts, class_imbalance(counts)),
        *told("clips that were clipped when they were recorded", clipped),
        *told("clips with an offset above 1 % of full scale", int((table.offset[rows].abs() > 0.01).sum())),
    ]
    return {
        "source": data.spec.source,
        "modality": data.spec.modality,
        "sample rate": rate,
        "rates of the files": dict(zip(map(str, rates.tolist()), numbers.tolist(), strict=True)),
        "training clips": len(train),
        "test clips": len(test),
        "total seconds": float(table.lengths[rows].sum()) / rate,
        "shortest, median, longest seconds": spread(table.lengths[rows].double() / rate),
        "classes": counts,
        "class imbalance": class_imbalance(counts),
        "speakers": _counted(train.speakers, data.spec.speakers),
        "lowest, median, highest level in dBFS": spread(table.level[rows].clamp(min=LOWEST)),
        "lowest, median, highest gain in dB": spread(20 * table.gain[rows].log10()),
        "largest offset": offset,
        "clipped clips": clipped,
        "clips looked at for copies": len(hashes[0]) + len(hashes[1]),
        "duplicates in training": copies,
        "test clips also in training": leaked,
        "fingerprint": data.spec.fingerprint,
        "problems": problems,
    }


def _clip_hashes(dataset: Clips) -> list[bytes]:
    """A hash of the samples of each of the first clips, without their padding."""
    longest = 4 * dataset.spec.shape[-1]
    hashes = []
    for indices in torch.arange(min(len(dataset), SAMPLE, max(SAMPLE_BYTES // longest, 1))).split(64):
        batch = dataset.batch(indices)
        ends = dataset.lengths[indices].tolist()
        clips = [row[:end].numpy().tobytes() for row, end in zip(batch.x[:, 0], ends, strict=True)]
        hashes += [hashlib.blake2b(clip, digest_size=16).digest() for clip in clips]
    return hashes


def spread(values: Tensor) -> list[float]:
    """The smallest, the median and the largest."""
    return [float(values.min()), float(values.quantile(0.5)), float(values.max())]


class _Survey:
    """One pass over the first examples of a data set: extremes, moments, hashes, constants."""

    def __init__(self, dataset: Dataset) -> None:
        self.low, self.high = float("inf"), float("-inf")
        self.constant = 0
        self.hashes: list[bytes] = []
        self._count, self._sum, self._squares = 0, 0.0, 0.0
        for x in _batches(dataset):
            flat = x.flatten(1)
            self.low = min(self.low, float(flat.min()))
            self.high = max(self.high, float(flat.max()))
            if flat.shape[1] > 2:
                self.constant += int((flat == flat[:, :1]).all(1).sum())
            self.hashes += [hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in flat.numpy()]
            exact = flat.double()
            self._count += exact.numel()
            self._sum += float(exact.sum())
            self._squares += float(exact.square().sum())

    def moments(self, offset: float, scale: float) -> tuple[float, float]:
        """Mean and standard deviation over all values, in source units."""
        mean = self._sum / self._count
        return offset + scale * mean, scale * max(self._squares / self._count - mean**2, 0.0) ** 0.5


def _batches(dataset: Dataset) -> Iterator[Tensor]:
    size = 4 * torch.Size(dataset.spec.shape).numel()
    count = min(len(dataset), SAMPLE, max(SAMPLE_BYTES // size, 1))
    for indices in torch.arange(count).split(max(min(CHUNK, 2**26 // size), 1)):
        yield dataset.batch(indices).x


def class_counts(data: Data) -> dict[str, int]:
    """Training examples of every class, by name."""
    return _counted(data.train.labels, data.spec.classes)


def _counted(labels: Tensor | None, names: tuple[str, ...]) -> dict[str, int]:
    if labels is None:
        return {}
    return dict(zip(names, torch.bincount(labels, minlength=len(names)).tolist(), strict=True))


def class_imbalance(counts: dict[str, int]) -> float | None:
    """The largest class over the smallest; None where there are no classes."""
    return max(counts.values()) / max(min(counts.values()), 1) if counts else None


def told_of_copies(copies: int, leaked: int) -> list[str]:
    """Lines about examples that are there twice."""
    return [
        *told("training examples that copy another exactly", copies),
        *told("test examples that also stand in the training set", leaked),
    ]


def told_of_classes(counts: dict[str, int], imbalance: float | None) -> list[str]:
    """Lines about classes that are empty or too small."""
    lines = told("classes without a training example", sum(count == 0 for count in counts.values()))
    if imbalance is not None and imbalance > IMBALANCE:
        lines.append(f"the largest class has {imbalance:.1f} times as many examples as the smallest")
    return lines


def told(fault: str, count: int) -> list[str]:
    """A fault and how often it is there; nothing where it is not."""
    return [f"{fault}: {count}"] if count else []
