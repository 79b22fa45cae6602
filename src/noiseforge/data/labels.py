"""Labels of any kind become 0, 1, ... and their names."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from noiseforge.errors import UserError


def numbered(labels: np.ndarray, *, where: str) -> tuple[Tensor, tuple[str, ...]]:
    """Labels (N,) as (N,) int64 numbers and the sorted names that they stand for.

    Raises:
        UserError: the labels are not one whole number or one text an example.

    >>> numbered(np.array([7, 3, 7]), where="a.npz")
    (tensor([1, 0, 1]), ('3', '7'))
    """
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise UserError(f"labels in {where} have shape {labels.shape}: one an example is expected, shape (N,)")
    if labels.dtype.kind == "f" and bool((labels == np.floor(labels)).all()):
        labels = labels.astype(np.int64)
    if labels.dtype.kind not in "biuU":
        raise UserError(f"labels in {where} are {labels.dtype}: whole numbers or text are expected")
    known, numbers = np.unique(labels, return_inverse=True)
    return torch.from_numpy(numbers.astype(np.int64)), tuple(str(name) for name in known)


def sorted_names(names: Sequence[str]) -> tuple[str, ...]:
    """Distinct class names in order: by value when all are whole numbers.

    >>> sorted_names(["10", "9", "9"])
    ('9', '10')
    """
    distinct = set(names)
    if all(name.isascii() and name.isdigit() for name in distinct):
        return tuple(sorted(distinct, key=lambda name: (int(name), name)))
    return tuple(sorted(distinct))
