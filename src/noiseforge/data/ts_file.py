"""The `.ts` text files of the UCR and UEA archives: a line is a series, features apart by `:`, the label at its end."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from noiseforge.data.recorded import Recorded
from noiseforge.data.spec import Column
from noiseforge.data.takes import numbers
from noiseforge.errors import UserError
from noiseforge.files import reading

TRAIN, TEST = "_TRAIN.ts", "_TEST.ts"


class _Header(NamedTuple):
    labelled: bool = False
    """Class labels end the lines; `targets` says that numbers do."""
    targets: bool = False
    classes: tuple[str, ...] = ()
    dimensions: int | None = None
    steps: int | None = None


class _Part(NamedTuple):
    series: list[np.ndarray]
    """(T, D) each."""
    labels: list[str]
    header: _Header


def read_ts(path: Path) -> Recorded:
    """The series of a `.ts` file; beside `X_TRAIN.ts` the test set is `X_TEST.ts`, where there is one.

    Raises:
        UserError: it cannot be read, has time stamps, or a line has a wrong number of values or no known label.
    """
    parts = [_read(path)]
    beside = path.with_name(path.name.removesuffix(TRAIN) + TEST)
    if path.name.endswith(TRAIN) and beside.is_file():
        parts.append(_read(beside))
    series = [one for part in parts for one in part.series]
    widths = {one.shape[1] for one in series}
    if len(widths) > 1:
        raise UserError(f"{path} and {beside.name} hold series of {sorted(widths)} features: expected the same")
    classes, labels = numbers(label for part in parts for label in part.labels)
    told = ("the numbers at the ends of the lines are targets to predict, and are left out",)
    return Recorded(
        np.concatenate(series),
        tuple(Column(name=f"x{place}") for place in range(series[0].shape[1])),
        np.array([len(one) for one in series]),
        labels,
        classes,
        train_count=len(parts[0].series) if len(parts) > 1 else None,
        problems=told if parts[0].header.targets else (),
    )


def _read(path: Path) -> _Part:
    try:
        with reading(path):
            lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is no .ts file of text in UTF-8 ({error}); download it again") from error
    numbered = [(number, line.strip()) for number, line in enumerate(lines, start=1)]
    numbered = [(number, line) for number, line in numbered if line and not line.startswith(("#", "%"))]
    start = next((place for place, (_, line) in enumerate(numbered) if line.lower() == "@data"), None)
    if start is None:
        raise UserError(f"{path} has no line @data: it is no .ts file, or truncated; download it again")
    header = _header([line for _, line in numbered[:start]], path)
    if start + 1 == len(numbered):
        raise UserError(f"{path} has no series after @data: it is truncated; download it again")
    found = [_series(line, header, f"{path}, line {number}") for number, line in numbered[start + 1 :]]
    _check_widths([one for one, _ in found], [number for number, _ in numbered[start + 1 :]], path)
    return _Part([one for one, _ in found], [label for _, label in found if label is not None], header)


def _header(lines: list[str], path: Path) -> _Header:
    words = {key.lower(): rest for key, *rest in (line.split() for line in lines)}

    def is_on(key: str) -> bool:
        return words.get(key, ["false"])[0].lower() == "true"

    def count(key: str) -> int | None:
        value = words.get(key, ["0"])[0]
        if not value.isdigit():
            raise UserError(f"{path}: {key} is {value!r} in the header: expected a whole number")
        return int(value) or None

    if is_on("@timestamps"):
        raise UserError(f"{path} has time stamps in its lines, which are not read: expected @timestamps false")
    return _Header(
        labelled=is_on("@classlabel"),
        targets=is_on("@targetlabel"),
        classes=tuple(words.get("@classlabel", ())[1:]),
        dimensions=1 if is_on("@univariate") else count("@dimensions"),
        steps=count("@serieslength") if is_on("@equallength") else None,
    )


def _series(line: str, header: _Header, where: str) -> tuple[np.ndarray, str | None]:
    """One line as (T, D), and its label."""
    *features, last = line.split(":")
    if not (header.labelled or header.targets):
        features.append(last)
    elif not features:
        raise UserError(f"{where}: no label at its end, which the header announces: download the file again")
    label = last.strip() if header.labelled else None
    if label is not None and header.classes and label not in header.classes:
        raise UserError(f"{where}: the label {label!r} is none of the header, {', '.join(header.classes)}")
    if header.dimensions is not None and len(features) != header.dimensions:
        raise UserError(f"{where}: {len(features)} features, and the header announces {header.dimensions}")
    rows = [_numbers(text, where) for text in features]
    counts = {len(row) for row in rows}
    if len(counts) > 1 or (header.steps is not None and counts != {header.steps}):
        expected = "one number of values for all features" if header.steps is None else f"{header.steps} values"
        found = " and ".join(map(str, sorted(counts)))
        raise UserError(f"{where}: {found} values, expected {expected}: the file is truncated or mixed up")
    return np.stack(rows, 1), label


def _numbers(text: str, where: str) -> np.ndarray:
    try:
        values = np.array([np.nan if value.strip() in ("?", "") else float(value) for value in text.split(",")])
    except ValueError as error:
        raise UserError(f"{where}: {error}; expected numbers, and ? for what is missing") from error
    if np.isinf(values).any():
        raise UserError(f"{where}: an infinite value; expected numbers, and ? for what is missing")
    return values


def _check_widths(series: list[np.ndarray], lines: list[int], path: Path) -> None:
    for one, line in zip(series, lines, strict=True):
        if one.shape[1] != series[0].shape[1]:
            raise UserError(
                f"{path}, line {line}: {one.shape[1]} features, and the first series has {series[0].shape[1]}"
            )
