"""Labels of any kind become 0, 1, ... and their names."""

from __future__ import annotations

import re
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


def alone(labels: Tensor | None, classes: tuple[str, ...]) -> tuple[str, ...]:
    """A line about classes of one example, which cannot be learned from and tested; none where there are none."""
    if labels is None:
        return ()
    counts = torch.bincount(labels, minlength=len(classes)).tolist()
    single = [name for name, count in zip(classes, counts, strict=True) if count == 1]
    if not single:
        return ()
    shown = ", ".join(single[:5]) + (", ..." if len(single) > 5 else "")
    return (f"classes of one example, which is learned from and not tested: {len(single)}: {shown}",)


def folder_name(name: str) -> str:
    """A class name that is safe as the name of one folder, never a path or a hidden one.

    >>> folder_name("../a b"), folder_name("é")
    ('_._a b', 'é')
    """
    return re.sub(r"[^\w. +-]|^\.", "_", name) or "_"


def file_name(name: str) -> str:
    """A name that is safe in a file's name, and in which no `_` is, as that stands between the fields.

    >>> file_name("../a b_c")
    '---a b-c'
    """
    return re.sub(r"[^\w +]|_", "-", name) or "-"
