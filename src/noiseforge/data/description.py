"""What a source holds and what is wrong with it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import torch
from torch import Tensor

from noiseforge.data.examples import CHUNK
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
    train, test = _Survey(data.train), _Survey(data.test)
    copies = len(train.hashes) - len(set(train.hashes))
    leaked = len(set(train.hashes).intersection(test.hashes))
    constant = train.constant + test.constant
    counts = _class_counts(data)
    imbalance = max(counts.values()) / max(min(counts.values()), 1) if counts else None
    mean, deviation = train.moments(data.spec.offset, data.spec.scale)
    problems = [
        *data.problems,
        *_told("training examples that copy another exactly", copies),
        *_told("test examples that also stand in the training set", leaked),
        *_told("examples with one value everywhere", constant),
        *_told("classes without a training example", sum(count == 0 for count in counts.values())),
    ]
    if imbalance is not None and imbalance > IMBALANCE:
        problems.append(f"the largest class has {imbalance:.1f} times as many examples as the smallest")
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


def _class_counts(data: Data) -> dict[str, int]:
    if data.train.labels is None:
        return {}
    counts = torch.bincount(data.train.labels, minlength=len(data.spec.classes)).tolist()
    return dict(zip(data.spec.classes, counts, strict=True))


def _told(fault: str, count: int) -> list[str]:
    return [f"{fault}: {count}"] if count else []
