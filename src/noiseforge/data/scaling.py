"""Every column is scaled by what the training steps hold, and by nothing else."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from noiseforge.data.recorded import Recorded, Scaling
from noiseforge.data.spec import Column
from noiseforge.errors import UserError

MOST_LEVELS = 300
"""Distinct values up to which a column takes no others, if each comes REPEATS times on average."""

REPEATS = 4


class Scaled(NamedTuple):
    """Columns that know their scale; those that the training steps do not tell are left out."""

    places: list[int]
    """Of the columns that stay."""
    columns: tuple[Column, ...]
    problems: tuple[str, ...]


def scaled(recorded: Recorded, training: np.ndarray, scaling: Scaling, source: str) -> Scaled:
    """The columns of `recorded`, scaled by the `training` steps (steps,) bool.

    minmax brings the extremes to 0 and 1; standard the mean to 0 and the deviation to 1; robust the median to 0 and
    the distance of the quartiles to 1. Missing values are passed over.

    Raises:
        UserError: no column has a value.
    """
    if recorded.bounds is not None:
        low, high = recorded.bounds
        bounded = {"offset": low, "scale": high - low}
        alike = tuple(column.model_copy(update=bounded) for column in recorded.columns)
        return Scaled(list(range(len(alike))), alike, ())
    places: list[int] = []
    columns: list[Column] = []
    empty: list[str] = []
    constant: list[str] = []
    for place, column in enumerate(recorded.columns):
        values = recorded.values[training, place].astype(np.float64)
        known = values[~np.isnan(values)]
        if len(known) == 0:
            empty.append(column.name)
            continue
        if (known == known[0]).all():
            constant.append(column.name)
        places.append(place)
        columns.append(_scaled(column, known, scaling, missing=len(known) < len(values)))
    if not columns:
        raise UserError(f"{source}: every column is empty in the training part; check the file")
    problems = _told("columns without a value in the training part, left out", empty)
    return Scaled(places, tuple(columns), (*problems, *_told("columns of one value", constant)))


def _scaled(column: Column, known: np.ndarray, scaling: Scaling, *, missing: bool) -> Column:
    if column.kind == "category":
        return column.model_copy(update={"missing": missing})
    offset, scale = _measures(known, scaling)
    levels = np.unique(known[known > 0] if column.kind == "lag" else known)
    few = len(levels) <= min(MOST_LEVELS, len(known) / REPEATS)
    return column.model_copy(
        update={
            "offset": offset,
            "scale": scale,
            "missing": missing,
            "levels": tuple(levels.tolist()) if few else (),
        }
    )


def _measures(known: np.ndarray, scaling: Scaling) -> tuple[float, float]:
    """Offset and scale; a scale of 1 for a column of one value."""
    if scaling == "minmax":
        low, high = float(known.min()), float(known.max())
        return low, high - low or 1.0
    if scaling == "standard":
        return float(known.mean()), _spread(known)
    lower, median, upper = np.quantile(known, (0.25, 0.5, 0.75)).tolist()
    return median, upper - lower or _spread(known)


def _spread(known: np.ndarray) -> float:
    """The standard deviation; 1 where all values are equal, of which rounding could make another."""
    return 1.0 if known.min() == known.max() else float(known.std())


def _told(fault: str, names: list[str]) -> tuple[str, ...]:
    return (f"{fault}: {len(names)}: {', '.join(names[:8])}{', ...' * (len(names) > 8)}",) if names else ()
