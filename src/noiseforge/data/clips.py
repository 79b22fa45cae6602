"""The data set of sound: clips of any length, as batches that are padded at their end."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from noiseforge.data.decode_audio import FULL_SCALE, Form, SoundHeader, read_stretch
from noiseforge.data.listing import BadFile, each
from noiseforge.data.spec import Batch, Spec
from noiseforge.data.takes import Take
from noiseforge.errors import UserError
from noiseforge.files import readable, reading


class ClipStore(Protocol):
    """Samples as the source holds them, fetched by clip."""

    def fetch(self, rows: Tensor) -> list[Tensor]:
        """The samples (length,) of each of `rows` (n,) int64: int16, or float32 in fractions of full scale."""

    def digest(self, rows: Tensor) -> bytes:
        """A hash of the content of `rows` (n,) int64 in that order."""


class FlatClips:
    """A store of clips that are held in memory, one behind the other.

    Args:
        clips: (length,) each, all int16 or all float32.
    """

    def __init__(self, clips: Sequence[np.ndarray]) -> None:
        self.samples = torch.from_numpy(np.concatenate(clips))
        self.ends = torch.tensor([len(clip) for clip in clips]).cumsum(0).tolist()

    def fetch(self, rows: Tensor) -> list[Tensor]:
        """The samples (length,) of each of `rows` (n,) int64."""
        return [self.samples[self.ends[row - 1] if row else 0 : self.ends[row]] for row in rows.tolist()]

    def digest(self, rows: Tensor) -> bytes:
        """SHA-256 of the samples and of where each clip ends."""
        content = hashlib.sha256()
        for row in rows:
            (clip,) = self.fetch(row[None])
            content.update(f"{len(clip)}\0".encode() + clip.numpy().tobytes())
        return content.digest()


class Stretch(NamedTuple):
    """Where a clip lies: frames of a file."""

    path: Path
    name: str
    """Relative to the root of its source."""
    header: SoundHeader
    start: int
    frames: int


class ClipFiles:
    """A store of clips that are read from their files, by a few threads, when they are asked for."""

    def __init__(self, stretches: Sequence[Stretch], form: Form) -> None:
        self.stretches, self.form = stretches, form

    def fetch(self, rows: Tensor) -> list[Tensor]:
        """The samples (length,) of each of `rows` (n,) int64.

        Raises:
            UserError: a file cannot be read any more.
        """
        clips, wanted = [], [self.stretches[row] for row in rows.tolist()]
        for stretch, result in zip(wanted, each(self._read, wanted), strict=True):
            if isinstance(result, BadFile):
                raise UserError(f"cannot read {readable(stretch.path)}: {result}; begin anew with files that stay")
            clips.append(torch.from_numpy(result))
        return clips

    def digest(self, rows: Tensor) -> bytes:
        """SHA-256 of the files' names and sizes, and of where in them the clips lie."""
        content = hashlib.sha256()
        for row in rows.tolist():
            stretch = self.stretches[row]
            with reading(stretch.path):
                size = stretch.path.stat().st_size
            content.update(f"{readable(stretch.name)}\0{size}\0{stretch.start}\0{stretch.frames}\0".encode())
        return content.digest()

    def _read(self, stretch: Stretch) -> np.ndarray:
        return read_stretch(stretch.path, stretch.header, self.form, start=stretch.start, frames=stretch.frames)


class Table(NamedTuple):
    """What is known of each of the M clips of a store."""

    take: Tensor
    """(M,) int64: which recording a clip is of."""
    lengths: Tensor
    """(M,) int64, in samples."""
    gain: Tensor
    """(M,) float64: the factor that a clip is multiplied by."""
    dc: Tensor
    """(M,) float64: what is taken off before; a fraction of full scale."""
    level: Tensor
    """(M,) float64: dBFS over the active frames, as recorded."""
    offset: Tensor
    """(M,) float64: the mean, as recorded; a fraction of full scale."""
    clipped: Tensor
    """(M,) bool: as recorded."""
    rate: Tensor
    """(M,) int64: Hz of the file."""
    labels: Tensor | None = None
    """(M,) int64."""
    speakers: Tensor | None = None
    """(M,) int64."""


class Clips:
    """A `Dataset` of sound: some clips of a store, brought to their level.

    Clips longer than `spec.shape`, as a test clip can be, end there.

    >>> from noiseforge.data.source import load_data
    >>> batch = load_data("tones").train.batch(torch.tensor([0, 1]))
    >>> batch.x.shape[:2], batch.x.shape[2] == batch.length.max(), batch.condition is not None
    (torch.Size([2, 1]), tensor(True), True)
    """

    def __init__(self, store: ClipStore, table: Table, rows: Tensor, spec: Spec, takes: Sequence[Take]) -> None:
        self.spec = spec
        self.store = store
        self.table = table
        self.rows = rows
        self.takes = takes

    @property
    def labels(self) -> Tensor | None:
        """(N,) int64, or None."""
        return None if self.table.labels is None else self.table.labels[self.rows]

    @property
    def speakers(self) -> Tensor | None:
        """(N,) int64 indices of `spec.speakers`, or None."""
        return None if self.table.speakers is None else self.table.speakers[self.rows]

    @property
    def lengths(self) -> Tensor:
        """(N,) int64, in samples."""
        return self.table.lengths[self.rows].clamp(max=self.spec.shape[-1])

    @property
    def gain(self) -> Tensor:
        """(N,) float64, in dB: by how much each clip was made louder."""
        return 20 * self.table.gain[self.rows].log10()

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, indices: Tensor) -> Batch:
        """The clips at `indices` (n,) int64.

        Returns:
            x (n, 1, T) float32 in [-1, 1], zeros after each clip's end; y (n,) int64 or None; length (n,) int64;
            condition (n,) int64, the speakers, or None.

        Raises:
            UserError: a file that is read only now cannot be read any more.
        """
        chosen = self.subset(indices)
        length = chosen.lengths
        x = torch.zeros(len(indices), 1, int(length.max()) if len(indices) else 0)
        gains, offsets = self.table.gain[chosen.rows].tolist(), self.table.dc[chosen.rows].tolist()
        clips = self.store.fetch(chosen.rows)
        for row, clip, end, gain, dc in zip(x[:, 0], clips, length.tolist(), gains, offsets, strict=True):
            steps = FULL_SCALE if clip.dtype == torch.int16 else 1
            row[:end].copy_(clip[:end]).sub_(steps * dc).mul_(gain / steps)
        return Batch(x, chosen.labels, length, chosen.speakers)

    def subset(self, indices: Tensor) -> Clips:
        """The clips at `indices` (n,) int64 alone."""
        return Clips(self.store, self.table, self.rows.index_select(0, indices), self.spec, self.takes)
