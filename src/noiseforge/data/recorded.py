"""What a reader of series found, before it is cut into windows, split and scaled."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from torch import Tensor

from noiseforge.data.spec import Column, Table

Layout = Literal["ntc", "nct", "wide"]
"""Axes of an array: series, steps and features, or series, features and steps; wide: a row is a series."""

Scaling = Literal["minmax", "standard", "robust"]

Scan = Literal["rows", "pixels", "permuted"]


class SeriesSettings(NamedTuple):
    """What `load_data` is told of sequences alone. None: as it is found."""

    window: int | None = None
    stride: int | None = None
    layout: Layout | None = None
    scaling: Scaling | None = None
    id_column: str | None = None
    time_column: str | None = None
    label_column: str | None = None
    scan: Scan | None = None


class Recorded(NamedTuple):
    """Series one after the other."""

    values: np.ndarray
    """(all steps, columns): numbers, NaN where missing, and of a category its place."""
    columns: tuple[Column, ...]
    """Not scaled yet."""
    lengths: np.ndarray
    """(N,) int64 steps of each series."""
    labels: Tensor | None = None
    """(N,) int64."""
    classes: tuple[str, ...] = ()
    table: Table | None = None
    train_count: int | None = None
    """So many of the first series are the source's own training set; None when it has no test set."""
    bounds: tuple[float, float] | None = None
    """The values that become 0 and 1, where the source itself bounds them: they are not scaled by what is found."""
    problems: tuple[str, ...] = ()

    @property
    def starts(self) -> np.ndarray:
        """(N,) int64: where each series begins."""
        return np.cumsum(self.lengths) - self.lengths
