"""Series are cut into windows, and windows are split so that no step is on both sides."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from noiseforge.data.labels import alone
from noiseforge.data.recorded import Recorded
from noiseforge.data.split import stratified
from noiseforge.errors import UserError, unknown

SPLITS = ("time", "blocks:10", "all", "series", "stratified")


class Windows(NamedTuple):
    """Pieces of series."""

    starts: np.ndarray
    """(N,) int64: the row of the first step."""
    lengths: np.ndarray
    """(N,) int64."""
    series: np.ndarray
    """(N,) int64: the series that each is a piece of."""
    cut: bool
    """They are windows; otherwise each is a whole series."""
    problems: tuple[str, ...] = ()

    def covered(self, chosen: Tensor, steps: int) -> np.ndarray:
        """Which of so many steps, (steps,) bool, some of the `chosen` (n,) int64 windows hold."""
        places = chosen.numpy()
        edges = np.zeros(steps + 1, np.int64)
        np.add.at(edges, self.starts[places], 1)
        np.add.at(edges, self.starts[places] + self.lengths[places], -1)
        return edges.cumsum()[:-1] > 0


class Sides(NamedTuple):
    """Indices (n,) int64 of what is learned from and of what is held out."""

    kept: Tensor
    held: Tensor
    problems: tuple[str, ...] = ()


def cut_windows(recorded: Recorded, *, window: int | None, stride: int | None, source: str) -> Windows:
    """Windows of `window` steps, every `stride` steps (1 for None); whole series without `window`.

    Raises:
        UserError: a window is longer than every series, or `stride` is given alone.
    """
    lengths, starts = recorded.lengths, recorded.starts
    if window is None:
        if stride is not None:
            raise UserError(f"stride={stride} is the way from one window to the next: give window too")
        return Windows(starts, lengths, np.arange(len(lengths)), cut=False)
    short = lengths < window
    if short.all():
        longest = "the series has" if len(lengths) == 1 else f"the longest of {len(lengths)} series has"
        raise UserError(
            f"window={window} is longer than {source}: {longest} {lengths.max()} steps; take a shorter one, or leave "
            f"series whole by window=null"
        )
    step = stride or 1
    counts = np.where(short, 0, (lengths - window) // step + 1)
    series = np.repeat(np.arange(len(lengths)), counts)
    place = np.arange(counts.sum()) - np.repeat(counts.cumsum() - counts, counts)
    told = (f"series shorter than window={window}, left out: {short.sum()}",) if short.any() else ()
    return Windows(starts[series] + place * step, np.full(len(series), window), series, cut=True, problems=told)


def check_series_split(split: str) -> None:
    """Refuses what is no split of sequences.

    Raises:
        UserError: which it is, and what is known.
    """
    if split not in SPLITS and not re.fullmatch("blocks:[1-9][0-9]*", split):
        raise unknown("split", split, SPLITS)


def split_windows(
    recorded: Recorded, windows: Windows, split: str | None, *, fraction: float, seed: int, source: str
) -> Sides:
    """Which windows are learned from and which are held out; those that would be on both sides are on neither.

    Args:
        recorded: the series.
        windows: pieces of them.
        split: `time` holds the end of every series out, `blocks:N` so many blocks spread over it, `series` whole
            series, `stratified` whole series of every label, `all` nothing. None: the source's own, else `time` for
            windows of one series, `stratified` for several.
        fraction: share of the time, or of the series, that is held out.
        seed: of what is drawn.
        source: named in errors.

    Raises:
        UserError: one side would be empty, or the split does not suit the source.
    """
    everything = torch.arange(len(windows.starts))
    one = len(recorded.lengths) == 1
    if split == "all":
        return Sides(everything, everything, ("split=all: nothing is held out, the test set is the training set",))
    if one and not windows.cut and split is None:
        told = f"one series of {recorded.lengths[0]} steps, learned from and tested on: window=24 would cut it"
        return Sides(everything, everything, (told,))
    if split is None and recorded.train_count is not None:
        kept = torch.from_numpy(windows.series < recorded.train_count)
        return _checked(Sides(kept.nonzero().flatten(), (~kept).nonzero().flatten()), "its own split", windows, source)
    chosen = split or ("time" if one else "stratified")
    if chosen in ("series", "stratified"):
        if one:
            raise UserError(f"split={chosen} holds whole series out, and {source} is one: use time or blocks:10")
        return _checked(_by_series(recorded, windows, chosen, fraction, seed), chosen, windows, source)
    if not windows.cut:
        raise UserError(f"split={chosen} is for windows of long series: give window, or use series or stratified")
    return _checked(_by_time(recorded, windows, chosen, fraction), chosen, windows, source)


def _by_series(recorded: Recorded, windows: Windows, split: str, fraction: float, seed: int) -> Sides:
    labels = recorded.labels if split == "stratified" else None
    held = stratified(len(recorded.lengths) if labels is None else labels, fraction=fraction, seed=seed)[1]
    out = torch.isin(torch.from_numpy(windows.series), held)
    return Sides((~out).nonzero().flatten(), out.nonzero().flatten(), alone(labels, recorded.classes))


def _by_time(recorded: Recorded, windows: Windows, split: str, fraction: float) -> Sides:
    length = recorded.lengths[windows.series]
    begin = windows.starts - recorded.starts[windows.series]
    end = begin + windows.lengths
    inside, touched = np.zeros(len(begin), bool), np.zeros(len(begin), bool)
    count = 1 if split == "time" else int(split.partition(":")[2])
    size = np.rint(length * fraction / count).astype(np.int64)
    for block in range(count):
        low = length - size if split == "time" else np.rint((block + 0.5) * length / count - size / 2).astype(np.int64)
        inside |= (begin >= low) & (end <= low + size)
        touched |= (begin < low + size) & (end > low)
    both = int((touched & ~inside).sum())
    told = (f"windows with steps on both sides of the split, left out: {both}",) if both else ()
    return Sides(torch.from_numpy(np.flatnonzero(~touched)), torch.from_numpy(np.flatnonzero(inside)), told)


def _checked(sides: Sides, split: str, windows: Windows, source: str) -> Sides:
    for side, indices in (("training", sides.kept), ("test", sides.held)):
        if len(indices) == 0:
            raise UserError(
                f"split={split} leaves {source} no {side} example of {windows.lengths.max()} steps: "
                f"change test_fraction, take shorter windows, or split=all"
            )
    return sides
