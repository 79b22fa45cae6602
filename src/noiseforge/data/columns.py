"""Columns of a table of series, as a model sees them and back in the units of the source."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from noiseforge.data.spec import Column, Spec
from noiseforge.errors import UserError

CHUNK = 1 << 16
"""Steps that are brought from the units of the source to those of a model at a time."""


WHOLE_LAGS = "int64"
"""The type of lags that are whole numbers."""

DIGITS = 6
"""Of a column's scale that float32 keeps."""


def to_features(values: np.ndarray, columns: Sequence[Column]) -> Tensor:
    """Values (steps, columns) in source units, NaN where missing, as what a model sees, (steps, D) float32.

    >>> kind = Column(name="kind", kind="category", categories=("a", "b"))
    >>> level = Column(name="level", offset=10.0, scale=2.0)
    >>> to_features(np.array([[1.0, 14.0], [np.nan, np.nan]]), (kind, level))
    tensor([[0., 1., 2.],
            [nan, nan, nan]])
    """
    features = np.empty((len(values), sum(column.width for column in columns)), np.float32)
    for start in range(0, len(values), CHUNK):
        part = values[start : start + CHUNK]
        for place, (column, feature) in enumerate(_places(columns)):
            features[start : start + CHUNK, feature] = _seen(part[:, place], column)
    return torch.from_numpy(features)


def to_source(x: Tensor, length: Tensor | None, spec: Spec) -> dict[str, np.ndarray]:
    """Series (N, T, D) as a model sees them as the columns of the source, each (N, T), or (N,) of an attribute.

    All are float64, and NaN where a value is missing and after `length` steps. A category is its place among the
    column's categories, a whole number is rounded, and a column of few levels takes the nearest of them. An attribute
    is the mean of what its series says of it. A lag is 0 at the first step, and above 0 at all others.
    """
    values = x.detach().cpu().double().numpy()
    ended = np.zeros(values.shape[:2], bool)
    if length is not None:
        ended = np.arange(values.shape[1]) >= length.cpu().numpy()[:, None]
    columns = {}
    for column, feature in _places(spec.columns):
        part = values[:, :, feature].copy()
        part[ended] = np.nan
        if column.attribute:
            part = _means(part)
        columns[column.name] = _found(part, column)
    return columns


def rescaled(x: Tensor, length: Tensor | None, theirs: Spec, ours: Spec) -> Tensor:
    """Series (N, T, D) of one source as a model of another sees them, by whose scales its columns are seen.

    Raises:
        UserError: they have other columns.
    """
    if theirs.columns == ours.columns:
        return x
    if [_form(column) for column in theirs.columns] != [_form(column) for column in ours.columns]:
        found, wanted = (", ".join(column.name for column in spec.columns[:8]) for spec in (theirs, ours))
        raise UserError(f"{theirs.source} has other columns ({found}) than {ours.source} ({wanted})")
    (scale, offset), (own_scale, own_offset) = (_scales(spec) for spec in (theirs, ours))
    x = (x * scale + offset - own_offset) / own_scale
    if length is not None:
        x = x.masked_fill((torch.arange(x.shape[1]) >= length[:, None])[:, :, None], 0)
    return x


def _form(column: Column) -> tuple[str, str, tuple[str, ...]]:
    return column.name, column.kind, column.categories


def _scales(spec: Spec) -> tuple[Tensor, Tensor]:
    """Scale and offset (D,) of each feature; of categories, which are not scaled, 1 and 0."""
    both = [
        entry
        for column in spec.columns
        for entry in [(1.0, 0.0) if column.categories else (column.scale, column.offset)] * column.width
    ]
    return torch.tensor([scale for scale, _ in both]), torch.tensor([offset for _, offset in both])


def _places(columns: Sequence[Column]) -> Iterator[tuple[Column, slice]]:
    """Every column with its features."""
    start = 0
    for column in columns:
        yield column, slice(start, start + column.width)
        start += column.width


def _seen(values: np.ndarray, column: Column) -> np.ndarray:
    """(n,) as (n, width)."""
    if column.kind != "category":
        return ((values.astype(np.float64) - column.offset) / column.scale)[:, None]
    known = (values[:, None] == np.arange(column.width)).astype(np.float32)
    known[np.isnan(values)] = np.nan
    return known


def _found(features: np.ndarray, column: Column) -> np.ndarray:
    """(..., width) as (...)."""
    if column.kind == "category":
        missing = np.isnan(features).any(-1)
        return np.where(missing, np.nan, np.where(np.isnan(features), 0, features).argmax(-1))
    values = column.offset + column.scale * features[..., 0]
    if column.levels:
        values = _nearest(values, np.array(column.levels))
    elif column.kind == "integer" or column.dtype == WHOLE_LAGS:
        values = values.round()
    else:
        values = values.round(DIGITS - math.floor(math.log10(column.scale)))
    return _lags(values, column) if column.kind == "lag" else values


def _lags(values: np.ndarray, column: Column) -> np.ndarray:
    """Time passes from step to step (..., T), and begins with the first."""
    passed = np.maximum(values, 1.0 if column.dtype == WHOLE_LAGS else column.scale * 10.0**-DIGITS)
    passed[..., 0] = 0.0
    return passed


def _nearest(values: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """The nearest of ascending levels, the lower where two are as near; NaN stays."""
    middles = (levels[1:] + levels[:-1]) / 2
    return np.where(np.isnan(values), np.nan, levels[np.searchsorted(middles, values).clip(max=len(levels) - 1)])


def _means(features: np.ndarray) -> np.ndarray:
    """(N, T, width) as means (N, width) over what is known; NaN where nothing is."""
    known = ~np.isnan(features)
    count = known.sum(1)
    total = np.where(known, features, 0).sum(1)
    return np.where(count == 0, np.nan, total / count.clip(min=1))
