"""What a source of sequences holds, column by column, and what is wrong with it."""

from __future__ import annotations

import hashlib

import numpy as np
import torch

from noiseforge.data.columns import WHOLE_LAGS, to_source
from noiseforge.data.description import (
    SAMPLE,
    SAMPLE_BYTES,
    class_counts,
    class_imbalance,
    spread,
    told_of_classes,
    told_of_copies,
)
from noiseforge.data.series import Series, first_lags
from noiseforge.data.spec import Data, Spec

LOOKED_AT = 20_000
"""Training steps, evenly spread, in which columns are compared with each other."""

EXACT = 1e-5
"""Share of a column's deviation by which it may differ from what others say of it: rounding to float32."""

GAP = 1.5
"""A lag of so many times the usual one is a gap."""


def describe_series(data: Data, train: Series, test: Series) -> dict[str, object]:
    """Counts, lengths, columns, time and faults. Values are of the steps of the training part, in source units."""
    spec = data.spec
    steps = train.steps[torch.from_numpy(_covered(train))]
    plain = spec.model_copy(update={"columns": tuple(c.model_copy(update={"attribute": False}) for c in spec.columns)})
    values = {name: column[0] for name, column in to_source(steps[None], None, plain).items()}
    hashes = [_hashes(part) for part in (train, test)]
    same = train is test or torch.equal(train.starts, test.starts)
    copies = len(hashes[0]) - len(set(hashes[0]))
    leaked = 0 if same else len(set(hashes[0]).intersection(hashes[1]))
    counts = class_counts(data)
    exact = dependencies(values, spec)
    lengths = torch.cat([train.lengths, test.lengths])
    return {
        "source": spec.source,
        "modality": spec.modality,
        "training sequences": len(train),
        "test sequences": len(test),
        "training steps": len(steps),
        "shortest, median, longest steps": spread(lengths.double()),
        "features": spec.shape[1],
        "windows that hold a step, on average": float(train.lengths.sum()) / max(len(steps), 1),
        "columns": {
            column.name: _column(values[column.name], column.kind, column.attribute) for column in spec.columns
        },
        "exact dependencies": exact,
        **_time(steps, spec),
        "classes": counts,
        "class imbalance": class_imbalance(counts),
        "sequences looked at for copies": sum(map(len, hashes)),
        "duplicates in training": copies,
        "test sequences also in training": leaked,
        "fingerprint": spec.fingerprint,
        "problems": [
            *data.problems,
            *exact,
            *told_of_copies(copies, leaked),
            *told_of_classes(counts, class_imbalance(counts)),
        ],
    }


def dependencies(values: dict[str, np.ndarray], spec: Spec) -> list[str]:
    """Columns of numbers (steps,) that copy another, or follow exactly from others before them, in words."""
    names = [column.name for column in spec.columns if column.kind in ("real", "integer") and not column.attribute]
    if not names or len(values[names[0]]) == 0:
        return []
    count = len(values[names[0]])
    rows = np.unique(np.linspace(0, count - 1, min(count, LOOKED_AT)).astype(np.int64))
    table = np.stack([values[name][rows] for name in names], 1)
    table = table[~np.isnan(table).any(1)]
    deviation = table.std(0) if len(table) else np.zeros(len(names))
    told: list[str] = []
    free: list[int] = []
    for place in np.flatnonzero(deviation > 0).tolist():
        line = _follows(table, deviation, place, free, names)
        if line is None:
            free.append(place)
        else:
            told.append(line)
    return told


def _follows(table: np.ndarray, deviation: np.ndarray, place: int, free: list[int], names: list[str]) -> str | None:
    """What a column is of the free ones before it; None where it is free itself."""
    column = table[:, place]
    twin = next((other for other in free if np.array_equal(table[:, other], column)), None)
    if twin is not None:
        return f"{names[place]} copies {names[twin]}"
    if len(table) <= 2 * len(free) + 2:
        return None
    known = (table[:, free] - table[:, free].mean(0)) / deviation[free]
    wanted = (column - column.mean()) / deviation[place]
    weights = np.linalg.lstsq(known, wanted, rcond=None)[0]
    if np.sqrt(np.square(known @ weights - wanted).mean()) > EXACT:
        return None
    used = [names[other] for other, weight in zip(free, weights, strict=True) if abs(weight) > 100 * EXACT]
    return f"{names[place]} follows exactly from {' and '.join(used)}"


def _covered(series: Series) -> np.ndarray:
    """Which steps some example holds."""
    edges = torch.zeros(len(series.steps) + 1, dtype=torch.int64)
    edges.index_add_(0, series.starts, torch.ones_like(series.starts))
    edges.index_add_(0, series.starts + series.lengths, -torch.ones_like(series.starts))
    return (edges.cumsum(0)[:-1] > 0).numpy()


def _column(values: np.ndarray, kind: str, attribute: bool) -> dict[str, object]:
    known = values[~np.isnan(values)]
    place = kind == "category"
    return {
        "kind": f"{kind} of a whole series" if attribute else kind,
        "smallest": None if place or len(known) == 0 else float(known.min()),
        "largest": None if place or len(known) == 0 else float(known.max()),
        "missing share": 1 - len(known) / max(len(values), 1),
        "distinct values": len(np.unique(known)),
    }


def _time(steps: torch.Tensor, spec: Spec) -> dict[str, object]:
    """The step of time, and where it is not even how it is spread and how many gaps there are."""
    if spec.table is None or spec.table.time_column is None:
        return {}
    unit = "seconds" if spec.table.time_dtype.startswith("datetime64") else "units of the time column"
    if spec.table.time_step is not None:
        return {f"time step in {unit}": spec.table.time_step, "gaps": 0}
    lag = next((column for column in spec.columns if column.kind == "lag"), None)
    if lag is None:
        return {}
    (feature, zero), *_ = first_lags(spec)
    passed = steps[:, feature] - zero
    lags = passed[passed > 0].double() * lag.scale
    lags = lags.round() if lag.dtype == WHOLE_LAGS else lags
    shortest, usual, longest = spread(lags)
    return {
        f"shortest, median, longest time step in {unit}": [shortest, usual, longest],
        "gaps": int((lags > GAP * usual).sum()),
    }


def _hashes(series: Series) -> list[bytes]:
    """A hash of each of the first series."""
    size = 4 * torch.Size(series.spec.shape).numel()
    hashes = []
    for indices in torch.arange(min(len(series), SAMPLE, max(SAMPLE_BYTES // size, 1))).split(256):
        batch = series.batch(indices)
        ends = series.lengths[indices].tolist()
        hashes += [
            hashlib.blake2b(row[:end].numpy().tobytes(), digest_size=16).digest()
            for row, end in zip(batch.x, ends, strict=True)
        ]
    return hashes
