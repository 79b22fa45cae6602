"""Time stamps: dates as seconds and back, and whether the steps between them are all the same."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from noiseforge.data.cells import Cells
from noiseforge.errors import UserError

EVEN = 1e-6
"""Steps that differ by no more than this share of the step are the same."""


def as_stamps(column: Cells, where: str) -> Cells:
    """A column of time: numbers as they are, and ISO dates as seconds since 1970.

    Raises:
        UserError: one is missing, or is neither a number nor an ISO date.
    """
    gap = np.flatnonzero(np.isnan(column.values))
    if len(gap):
        raise UserError(f"{where}: no time in column {column.name!r} in row {gap[0] + 1}: fill it, or remove the row")
    if column.texts is None:
        return column
    dates = [_date(text, column, where) for text in column.texts]
    zone = ",UTC" if any(date.tzinfo for date in dates) else ""
    seconds = np.array([(date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() for date in dates])
    return Cells(column.name, seconds[column.values.astype(np.int64)], None, f"datetime64[us]{zone}")


def date_texts(seconds: np.ndarray, *, zone: bool) -> list[str]:
    """Seconds since 1970 (n,) as ISO dates, without the time of day where all are midnight; empty where NaN.

    >>> date_texts(np.array([0.0, 86400.0]), zone=False), date_texts(np.array([0.5]), zone=True)
    (['1970-01-01', '1970-01-02'], ['1970-01-01 00:00:00.500000+00:00'])
    """
    known = seconds[~np.isnan(seconds)]
    form = "%Y-%m-%d" if not zone and bool((known % 86400 == 0).all()) else None
    return ["" if np.isnan(value) else _date_text(value, form, zone=zone) for value in seconds.tolist()]


def even_step(steps: np.ndarray) -> float | None:
    """The one step between stamps, where all are the same but for rounding; None where they are not."""
    if len(steps) == 0:
        return None
    step = float(np.median(steps))
    return step if bool((np.abs(steps - step) <= EVEN * step).all()) else None


def _date(text: str, column: Cells, where: str) -> datetime:
    try:
        return datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise UserError(
            f"{where}: {text[:40]!r} in column {column.name!r} is no time: expected numbers or ISO dates such as "
            f"2026-01-31 or 2026-01-31T12:00:00; if it is no time, name the column that is by time_column"
        ) from error


def _date_text(seconds: float, form: str | None, *, zone: bool) -> str:
    date = datetime.fromtimestamp(seconds, UTC)
    if form:
        return date.strftime(form)
    return (date if zone else date.replace(tzinfo=None)).isoformat(sep=" ")
