"""Folders of picture files of any kind and any mix of sizes, decoded when they are asked for."""

from __future__ import annotations

import hashlib
import logging
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from noiseforge.data.decode import BadPicture, Header, decode, each, read_header
from noiseforge.data.examples import CHUNK, Found
from noiseforge.data.image import LARGEST, SMALLEST
from noiseforge.data.labels import sorted_names
from noiseforge.errors import UserError
from noiseforge.files import readable, reading

logger = logging.getLogger(__name__)

OnBadFile = Literal["error", "skip"]

ENDINGS = frozenset(
    ".png .jpg .jpeg .jpe .jfif .bmp .webp .gif .tif .tiff .ppm .pgm .pbm .pnm".split()  # noqa: SIM905
)
TEST_FOLDERS = ("test", "val", "valid")

KEPT_BYTES = 2**30
"""Sets of pictures up to this size stay in memory once decoded; sets of files up to this size are hashed."""

CHECKED_FILES = 20_000
"""Sets of up to so many files are decoded once when they are loaded, so that a broken one is told at once."""


class Entry(NamedTuple):
    """A picture file in a folder."""

    path: Path
    name: str
    """Relative to the root."""
    label: str | None
    held: bool
    """It belongs to the source's own test set."""


class PictureFiles:
    """A store of picture files, as uint8 (C, side, side) each, decoded by a few threads.

    Args:
        entries: the files; row i is the i-th of them.
        side: side of the decoded squares in pixels.
        channels: 1 or 3.
    """

    def __init__(self, entries: Sequence[Entry], *, side: int, channels: int) -> None:
        self.entries = entries
        self.side = side
        self.channels = channels
        shape = (len(entries), channels, side, side)
        fits = torch.Size(shape).numel() <= KEPT_BYTES
        self._kept = torch.empty(shape, dtype=torch.uint8) if fits else None
        self._have = torch.zeros(len(entries), dtype=torch.bool)

    def fetch(self, rows: Tensor) -> Tensor:
        """The pictures (n, C, side, side) uint8 of `rows` (n,) int64.

        Raises:
            UserError: a file cannot be decoded.
        """
        if self._kept is None:
            return self._decoded(rows)
        missing = rows[~self._have[rows]].unique()
        if len(missing):
            self._kept[missing] = self._decoded(missing)
            self._have[missing] = True
        return self._kept.index_select(0, rows)

    def digest(self, rows: Tensor) -> bytes:
        """SHA-256 of names and contents; of names and sizes alone where the files take more than 1 GiB."""
        content = hashlib.sha256()
        entries = [self.entries[row] for row in rows.tolist()]
        sizes = []
        for entry in entries:
            with reading(entry.path):
                sizes.append(entry.path.stat().st_size)
        hashed = sum(sizes) <= KEPT_BYTES
        for entry, size in zip(entries, sizes, strict=True):
            content.update(f"{readable(entry.name)}\0{size}\0".encode())
            if hashed:
                with reading(entry.path):
                    content.update(entry.path.read_bytes())
        return content.digest()

    def broken(self) -> dict[int, BadPicture]:
        """Decodes every file once; what went wrong, by row. What fits into memory is kept."""
        wrong: dict[int, BadPicture] = {}
        for rows in torch.arange(len(self.entries)).split(CHUNK // 8):
            results = each(self._decode_row, rows.tolist())
            for row, result in zip(rows.tolist(), results, strict=True):
                if isinstance(result, BadPicture):
                    wrong[row] = result
                elif self._kept is not None:
                    self._kept[row] = result
                    self._have[row] = True
        return wrong

    def _decode_row(self, row: int) -> Tensor:
        return decode(self.entries[row].path, side=self.side, channels=self.channels)

    def _decoded(self, rows: Tensor) -> Tensor:
        pictures: list[Tensor] = []
        for row, result in zip(rows.tolist(), each(self._decode_row, rows.tolist()), strict=True):
            if isinstance(result, BadPicture):
                raise _refusal([(self.entries[row], result)])
            pictures.append(result)
        return torch.stack(pictures)


def read_picture_folder(root: Path, *, size: int | None, channels: int | None, on_bad_file: OnBadFile) -> Found:
    """The pictures of a folder.

    Sub-folders are classes; `train` and one of `test`, `val` or `valid` are the split, each with classes or
    without. Pictures are cropped to their centred square and resized.

    Raises:
        UserError: there are no pictures, one of them cannot be read, or the folders contradict each other.
    """
    entries, problems = list_pictures(root)
    headers = each(lambda entry: read_header(entry.path), entries)
    entries, more = _sift(entries, headers, on_bad_file)
    good = [header for header in headers if isinstance(header, Header)]
    problems += more
    _check_count(root, entries)
    if channels is None:
        channels = 1 if all(header.grey for header in good) else 3
    store = PictureFiles(entries, side=size or default_side(good), channels=channels)
    rows = torch.arange(len(entries))
    if len(entries) <= CHECKED_FILES or on_bad_file == "skip":
        logger.info("decoding %d pictures of %s once to check them", len(entries), root)
        broken = store.broken()
        entries, more = _sift(entries, [broken.get(row) for row in rows.tolist()], on_bad_file)
        rows = torch.tensor([row for row in rows.tolist() if row not in broken], dtype=torch.int64)
        problems += more
        _check_count(root, entries)
    classes, labels, more = _labels(entries)
    train_count = sum(not entry.held for entry in entries)
    return Found(
        store,
        rows[:, None],
        (channels, store.side, store.side),
        labels=labels,
        classes=classes,
        train_count=train_count if train_count < len(entries) else None,
        problems=tuple(problems + more),
    )


def default_side(headers: Sequence[Header]) -> int:
    """The most frequent smaller side; where sides differ, the power of two at or below it. 8 to 256 pixels.

    >>> default_side([Header(100, 120, True)]), default_side([Header(90, 90, True), Header(40, 90, True)])
    (100, 64)
    """
    sides = Counter(min(header.width, header.height) for header in headers)
    side = max(sides, key=lambda side: (sides[side], side))
    if len(sides) > 1:
        side = 2 ** (side.bit_length() - 1)
    return min(max(side, SMALLEST), LARGEST)


def list_pictures(root: Path) -> tuple[list[Entry], list[str]]:
    """The picture files below `root`, training files first, each part by name; and what is in the way."""
    with reading(root):
        folders = {path.name: path for path in root.iterdir() if path.is_dir()}
    tests = [name for name in TEST_FOLDERS if name in folders]
    problems: list[str] = []
    if "train" not in folders or not tests:
        return _list_part(root, root, held=False, problems=problems), problems
    if len(tests) > 1:
        problems.append(f"{tests[0]} is the test set; not used: {', '.join(tests[1:])}")
    train = _list_part(folders["train"], root, held=False, problems=problems)
    test = _list_part(folders[tests[0]], root, held=True, problems=problems)
    _check_parts(root, train, test)
    return train + test, problems


def _check_parts(root: Path, train: list[Entry], test: list[Entry]) -> None:
    if not train or not test:
        raise UserError(f"{root} has the folders train and test, but one of them holds no pictures; fill it")
    known = {entry.label for entry in train}
    extra = sorted(str(entry.label) for entry in test if entry.label not in known)
    if extra:
        what = "pictures outside class folders" if extra[0] == "None" else f"the class {extra[0]!r}"
        raise UserError(f"{root}: the test folder has {what}, which train has not; make both alike")


def _list_part(folder: Path, root: Path, *, held: bool, problems: list[str]) -> list[Entry]:
    entries, others, seen = [], 0, set()
    for current, below, files in os.walk(folder, followlinks=True, onerror=_refuse_folder):
        real = os.path.realpath(current)
        below[:] = sorted(name for name in below if not _hidden(name)) if real not in seen else []
        for file in sorted(files) if real not in seen else []:
            path = Path(current, file)
            if path.suffix.lower() in ENDINGS and not _hidden(file):
                parts = path.relative_to(folder).parts
                label = readable(parts[0]) if len(parts) > 1 else None
                entries.append(Entry(path, path.relative_to(root).as_posix(), label, held))
            elif not _hidden(file):
                others += 1
        seen.add(real)
    if others:
        problems.append(f"files in {readable(folder.name)} that are no pictures, left out: {others}")
    loose = [entry for entry in entries if entry.label is None]
    if loose and len(loose) < len(entries):
        raise UserError(
            f"{len(loose)} pictures lie beside the class folders of {readable(folder)}, the first is "
            f"{readable(loose[0].name)}; move them into a class folder, or all pictures into one folder"
        )
    return sorted(entries, key=lambda entry: entry.name)


def _hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _refuse_folder(error: OSError) -> None:
    with reading(Path(error.filename)):
        raise error


def _check_count(root: Path, entries: Sequence[Entry]) -> None:
    if len(entries) < 2:
        endings = ", ".join(sorted(ENDINGS))
        count = ("no picture", "one picture")[len(entries)]
        raise UserError(f"{readable(root)} holds {count} to read: at least 2 are needed; known: {endings}")


def _sift(entries: list[Entry], results: Sequence[object], on_bad_file: OnBadFile) -> tuple[list[Entry], list[str]]:
    """The entries whose result is not a BadPicture, and a line about those that are left out."""
    pairs = list(zip(entries, results, strict=True))
    bad = [(entry, result) for entry, result in pairs if isinstance(result, BadPicture)]
    if not bad:
        return entries, []
    if on_bad_file == "error":
        raise _refusal(bad)
    shown = ", ".join(f"{readable(entry.name)} ({reason})" for entry, reason in bad[:3])
    return (
        [entry for entry, result in pairs if not isinstance(result, BadPicture)],
        [f"pictures that cannot be read, left out: {len(bad)}: {shown}{', ...' if len(bad) > 3 else ''}"],
    )


def _refusal(bad: Sequence[tuple[Entry, BadPicture]]) -> UserError:
    entry, reason = bad[0]
    more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
    return UserError(
        f"cannot read {readable(entry.path)}: {reason}{more}; mend or remove it, or pass --on-bad-file skip"
    )


def _labels(entries: Sequence[Entry]) -> tuple[tuple[str, ...], Tensor | None, list[str]]:
    names = [entry.label for entry in entries if entry.label is not None]
    classes = sorted_names(names)
    if len(classes) == 1:
        return (
            (),
            None,
            [f"the only class folder is {classes[0]!r}: its pictures count as unlabelled"],
        )
    if not classes:
        return (), None, []
    numbers = {name: number for number, name in enumerate(classes)}
    return classes, torch.tensor([numbers[name] for name in names]), []
