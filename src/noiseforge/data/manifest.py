"""Manifests: a CSV that names every recording of a set, what it is, on which side of the split, and its hash."""

from __future__ import annotations

import csv
import hashlib
import os
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import get_args

from noiseforge.data.clips import Clips
from noiseforge.data.listing import OnBadFile
from noiseforge.data.spec import Data
from noiseforge.data.takes import Part, Take
from noiseforge.errors import UserError, unknown
from noiseforge.files import readable, reading, replacing

MANIFEST = "manifest.csv"
"""A folder of sound that holds a file of this name is read by it."""

COLUMNS = ("path", "label", "speaker", "split", "samples", "sha256")
"""Of which path alone must be there; a path is relative to the manifest."""


def names_recordings(path: Path) -> bool:
    """Whether a CSV is a manifest, as far as its header tells: it has `path`, or nothing but columns of a manifest."""
    with reading(path), path.open("rb") as file:
        header = file.readline(1 << 16).decode("utf-8-sig", "replace")
    names = {name.strip().strip('"') for name in header.split(",")}
    return "path" in names or names <= set(COLUMNS)


def write_manifest(path: str | Path, data: Data) -> None:
    """Writes the recordings of a source of sound, one a line, so that reading it back gives the same split.

    Samples are counted at the file's own rate. Recordings that are on neither side are left out.

    Raises:
        UserError: the data is not of files of sound, or the manifest cannot be written.
    """
    target = Path(path)
    rows = [row for part in get_args(Part) for row in _rows(getattr(data, part), part, target.parent)]
    with replacing(target) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(rows)


def read_manifest(path: Path, on_bad_file: OnBadFile = "error") -> tuple[list[Take], list[str]]:
    """The recordings that a manifest names, and what was wrong.

    Args:
        path: the CSV.
        on_bad_file: what a file that is missing, or whose hash is not the one that is given, does: "skip" leaves it
            out.

    Raises:
        UserError: a column is misspelt or incomplete, or such a file stops.
    """
    with reading(path), path.open(newline="", encoding="utf-8-sig") as file:
        try:
            lines = list(csv.DictReader(file))
        except (csv.Error, UnicodeDecodeError) as error:
            raise UserError(f"{path} is no CSV in UTF-8 ({error}); write it again") from error
    if not lines or "path" not in lines[0]:
        found = ", ".join(filter(None, lines[0])) if lines else "no line"
        raise UserError(f"{path} holds {found}: expected a CSV with the columns {', '.join(COLUMNS)}, path at least")
    for name in filter(None, lines[0]):
        if name not in COLUMNS and get_close_matches(name, COLUMNS):
            raise unknown(f"column of {path}", name, COLUMNS)
    for column in ("label", "speaker", "split"):
        _check_column(path, lines, column)
    takes, lost = [], []
    for number, line in enumerate(lines, start=2):
        take = _take(path, number, line)
        takes.append(take)
        wrong = _wrong_file(path, number, take, line.get("sha256"))
        if wrong and on_bad_file == "error":
            raise UserError(wrong)
        if wrong:
            lost.append(take)
    if len({take.path for take in takes}) < len(takes):
        raise UserError(f"{path} names a file twice; leave one of the lines")
    first = f", the first is {lost[0].name}" if lost else ""
    problems = (
        [f"recordings that are missing or not those of the manifest, left out: {len(lost)}{first}"] if lost else []
    )
    return [take for take in takes if take not in lost], problems


def _check_column(path: Path, lines: Sequence[dict[str, str]], column: str) -> None:
    empty = [number for number, line in enumerate(lines, start=2) if not line.get(column)]
    if empty and len(empty) < len(lines):
        raise UserError(
            f"{path} has no {column} in {len(empty)} of {len(lines)} lines, the first is line {empty[0]}: "
            f"fill the column, or leave it empty in all lines"
        )


def _take(manifest: Path, number: int, line: dict[str, str]) -> Take:
    name, split = line["path"], line.get("split") or None
    part: Part | None = next((known for known in get_args(Part) if known == split), None)
    if part != split:
        raise UserError(f"{manifest} has the split {split!r} in line {number}: expected train or test")
    if not name:
        raise UserError(f"{manifest} names no file in line {number}: give its path, or leave the line out")
    return Take(manifest.parent / name, name, line.get("label") or None, line.get("speaker") or None, part=part)


def _wrong_file(manifest: Path, number: int, take: Take, wanted: str | None) -> str | None:
    """What is wrong with the file that a line names, if anything is."""
    if not take.path.is_file():
        return f"{manifest} names {take.name!r} in line {number}, and there is no such file: mend the path"
    if wanted and wanted != _hash(take.path):
        return (
            f"{take.path} is not the file that {manifest} names: its SHA-256 is another; "
            f"put the file back, or write the manifest again"
        )
    return None


def _rows(dataset: object, part: str, root: Path) -> list[list[object]]:
    takes = dataset.takes if isinstance(dataset, Clips) else ()
    if not isinstance(dataset, Clips) or not takes or not all(take.path.is_file() for take in takes):
        raise UserError("a manifest names files of sound: expected the data of a folder of recordings")
    chosen = dataset.table.take[dataset.rows].unique().tolist()
    return [_row(takes[index], part, root) for index in chosen]


def _row(take: Take, part: str, root: Path) -> list[object]:
    import soundfile

    place = Path(os.path.relpath(take.path, root)).as_posix()
    samples = soundfile.info(take.path).frames
    return [readable(place), take.label or "", take.speaker or "", part, samples, _hash(take.path)]


def _hash(path: Path) -> str:
    with reading(path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
