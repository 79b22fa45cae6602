"""Folders of picture files of any kind and any mix of sizes, decoded when they are asked for."""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from noiseforge.data.decode import Header, decode, read_header
from noiseforge.data.examples import CHUNK, Found
from noiseforge.data.image import LARGEST, SMALLEST
from noiseforge.data.labels import sorted_names
from noiseforge.data.listing import PICTURES, BadFile, Entry, OnBadFile, check_count, each, list_files, refusal, sift
from noiseforge.files import readable, reading

logger = logging.getLogger(__name__)

KEPT_BYTES = 2**30
"""Sets of pictures up to this size stay in memory once decoded; sets of files up to this size are hashed."""

CHECKED_FILES = 20_000
"""Sets of up to so many files are decoded once when they are loaded, so that a broken one is told at once."""


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

    def broken(self) -> dict[int, BadFile]:
        """Decodes every file once; what went wrong, by row. What fits into memory is kept."""
        wrong: dict[int, BadFile] = {}
        for rows in torch.arange(len(self.entries)).split(CHUNK // 8):
            results = each(self._decode_row, rows.tolist())
            for row, result in zip(rows.tolist(), results, strict=True):
                if isinstance(result, BadFile):
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
            if isinstance(result, BadFile):
                raise refusal([(self.entries[row], result)])
            pictures.append(result)
        return torch.stack(pictures)


def read_picture_folder(root: Path, *, size: int | None, channels: int | None, on_bad_file: OnBadFile) -> Found:
    """The pictures of a folder.

    Sub-folders are classes; `train` and one of `test`, `val` or `valid` are the split, each with classes or
    without. Pictures are cropped to their centred square and resized.

    Raises:
        UserError: there are no pictures, one of them cannot be read, or the folders contradict each other.
    """
    entries, problems = list_files(root, PICTURES)
    headers = each(lambda entry: read_header(entry.path), entries)
    entries, more = sift(entries, headers, PICTURES, on_bad_file)
    good = [header for header in headers if isinstance(header, Header)]
    problems += more
    check_count(root, PICTURES, entries)
    if channels is None:
        channels = 1 if all(header.grey for header in good) else 3
    store = PictureFiles(entries, side=size or default_side(good), channels=channels)
    rows = torch.arange(len(entries))
    if len(entries) <= CHECKED_FILES or on_bad_file == "skip":
        logger.info("decoding %d pictures of %s once to check them", len(entries), root)
        broken = store.broken()
        entries, more = sift(entries, [broken.get(row) for row in rows.tolist()], PICTURES, on_bad_file)
        rows = torch.tensor([row for row in rows.tolist() if row not in broken], dtype=torch.int64)
        problems += more
        check_count(root, PICTURES, entries)
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
