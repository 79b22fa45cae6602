"""Folders of sound of any kind: what is in them, brought to one rate and one level, and split."""

from __future__ import annotations

import hashlib
import logging
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from noiseforge.data.clips import ClipFiles, Clips, ClipStore, FlatClips, Stretch, Table
from noiseforge.data.decode_audio import Clip, Form, SoundHeader, as_fractions, read_clips, read_sound_header, resampled
from noiseforge.data.labels import alone
from noiseforge.data.level import USUAL_LEVEL, Level, gain_for, measure
from noiseforge.data.listing import SOUNDS, BadFile, OnBadFile, check_count, each, list_files, sift
from noiseforge.data.manifest import MANIFEST, names_recordings, read_manifest
from noiseforge.data.spec import Data, Spec
from noiseforge.data.split import subset_per_class
from noiseforge.data.takes import (
    DIGIT_NAMES,
    DIGIT_PATTERN,
    DIGIT_SPLIT,
    STRATIFIED,
    Take,
    digit_split_fits,
    held_out,
    name_pattern,
    named,
    numbers,
    own_split,
)
from noiseforge.errors import UserError
from noiseforge.files import readable

logger = logging.getLogger(__name__)

FOLDERS = "folders"
"""What `labels_from` is called where sub-folders are the classes."""

LONGEST = 20.0
"""Seconds above which a recording is cut."""

KEPT_BYTES = 2**30
"""Sets whose samples take no more than this stay in memory; larger ones are read from their files when asked."""


class SoundSettings(NamedTuple):
    """What `load_data` was asked for about sound; None takes the usual."""

    sample_rate: int | None = None
    labels_from: str | None = None
    split: str | None = None
    level: Level | None = None
    longest: float | None = None


class Listing(NamedTuple):
    """The recordings of a source before any is opened."""

    takes: list[Take]
    split: str | None
    """How they are split where nothing else is asked for; None where the source says it of each."""
    by_folder: bool = False
    """Their labels are the names of sub-folders."""
    problems: tuple[str, ...] = ()


class Recordings(NamedTuple):
    """The recordings of a source, read."""

    listing: Listing
    store: ClipStore
    table: Table
    rate: int
    """Hz."""
    problems: tuple[str, ...] = ()


def holds_manifest(path: Path) -> bool:
    """A path is a manifest, or a folder that holds one."""
    return (path.suffix.lower() == ".csv" and names_recordings(path)) or (path / MANIFEST).is_file()


def list_takes(root: Path, labels_from: str | None, on_bad_file: OnBadFile) -> Listing:
    """The recordings of a folder or of a manifest, with what is known of each.

    Args:
        root: a folder, or a CSV file.
        labels_from: a pattern of file names, or `folders`. None: the manifest in the folder, else the naming of
            spoken digits where every file fits it, else the class folders.
        on_bad_file: what a name that does not fit a given pattern, or a file that is not the manifest's, does.

    Raises:
        UserError: there is nothing to read, names do not fit, or folders contradict each other.
    """
    if labels_from is None and holds_manifest(root):
        takes, problems = read_manifest(root if root.suffix.lower() == ".csv" else root / MANIFEST, on_bad_file)
        return Listing(takes, None if own_split(takes) else STRATIFIED, problems=tuple(problems))
    if not root.is_dir():
        raise UserError(f"{root} is a manifest, which has the labels itself: leave labels_from out")
    entries, problems = list_files(root, SOUNDS, loose=True)
    check_count(root, SOUNDS, entries)
    digits = labels_from is None and all(DIGIT_NAMES.fullmatch(entry.path.stem) for entry in entries)
    by_folder = not digits and labels_from in (None, FOLDERS)
    if by_folder:
        entries, problems = list_files(root, SOUNDS)
    held = any(entry.held for entry in entries)
    takes = [
        Take(
            entry.path,
            entry.name,
            label=entry.label if by_folder else None,
            part=("test" if entry.held else "train") if held else None,
        )
        for entry in entries
    ]
    if not by_folder:
        takes, more = _named(takes, DIGIT_PATTERN if labels_from is None else labels_from, on_bad_file)
        problems += more
    split = None if held else DIGIT_SPLIT if digits and digit_split_fits(takes) else STRATIFIED
    return Listing(takes, split, by_folder, tuple(problems))


def _named(takes: list[Take], text: str, on_bad_file: OnBadFile) -> tuple[list[Take], list[str]]:
    pattern = name_pattern(text)
    fitting = [named(take, pattern) for take in takes]
    wrong = [take for take, fits in zip(takes, fitting, strict=True) if fits is None]
    if wrong and (on_bad_file == "error" or len(wrong) == len(takes)):
        otherwise = "" if len(wrong) == len(takes) else ", or pass --on-bad-file skip"
        raise UserError(
            f"{len(wrong)} of {len(takes)} file names do not fit labels_from={text!r}, the first is "
            f"{readable(wrong[0].name)}: rename them or choose another pattern{otherwise}"
        )
    told = [f"recordings whose name does not fit {text!r}, left out: {len(wrong)}"] if wrong else []
    return [take for take in fitting if take is not None], told


def read_recordings(
    root: Path, listing: Listing, settings: SoundSettings, on_bad_file: OnBadFile, *, silence: bool = False
) -> Recordings:
    """Reads every recording through, once, to measure and to check it; what fits into memory is kept.

    Args:
        root: what the recordings are called in messages.
        listing: the recordings.
        settings: the rate, the level, and the longest clip.
        on_bad_file: "error" stops at a recording that cannot be used, "skip" leaves it out.
        silence: a silent recording can be used.

    Raises:
        UserError: which recording cannot be used, and why; or the rates differ.
    """
    takes, headers, problems = _with_headers(root, listing.takes, settings.sample_rate, on_bad_file)
    rate = settings.sample_rate or headers[0].rate
    mono = all(header.exact and header.channels == 1 and header.rate == rate for header in headers)
    form = Form(rate, settings.longest or LONGEST, exact=mono)
    keep = sum(header.seconds for header in headers) * rate * (2 if mono else 4) <= KEPT_BYTES
    others = sum(header.rate != rate for header in headers)
    if others:
        logger.info("resampling %d of %d recordings of %s to %d Hz (soxr, HQ)", others, len(takes), root, rate)
    logger.info("reading %d recordings of %s through once to measure them", len(takes), root)

    def read(pair: tuple[Take, SoundHeader]) -> list[Clip]:
        return read_clips(pair[0].path, pair[1], form, keep=keep, silence=silence)

    found = each(read, list(zip(takes, headers, strict=True)))
    kept, more = sift(takes, found, SOUNDS, on_bad_file)
    check_count(root, SOUNDS, kept)
    good = [(header, clips) for header, clips in zip(headers, found, strict=True) if not isinstance(clips, BadFile)]
    problems += more + _told_of_cuts(good, form)
    store: ClipStore
    if keep:
        store = FlatClips([clip.raw for _, clips in good for clip in clips if clip.raw is not None])
    else:
        stretches = [
            Stretch(take.path, take.name, header, clip.start, clip.frames)
            for take, (header, clips) in zip(kept, good, strict=True)
            for clip in clips
        ]
        store = ClipFiles(stretches, form)
    table, more = _table(kept, [header.rate for header, _ in good], [clips for _, clips in good], settings.level)
    return Recordings(listing._replace(takes=kept), store, table, rate, tuple(problems + more))


def recordings_of(takes: list[Take], sounds: Sequence[np.ndarray], rate: int, settings: SoundSettings) -> Recordings:
    """Sounds (T,) float32 at `rate` Hz that were made and not read, resampled where another rate is asked for."""
    wanted = settings.sample_rate or rate
    if wanted != rate:
        logger.info("resampling %d sounds from %d to %d Hz (soxr, HQ)", len(sounds), rate, wanted)
        sounds = [resampled(x, rate, wanted) for x in sounds]
    clips = [[Clip(0, len(x), len(x), measure(as_fractions(x), wanted), None)] for x in sounds]
    table, problems = _table(takes, [wanted] * len(takes), clips, settings.level)
    return Recordings(Listing(takes, STRATIFIED), FlatClips(sounds), table, wanted, tuple(problems))


def sound_data(
    recordings: Recordings,
    split: str | None,
    *,
    source: str,
    test_fraction: float,
    labels_per_class: int | None,
    seed: int,
) -> Data:
    """Splits recordings; all clips of one recording are on the same side.

    Raises:
        UserError: the split or the subset cannot be made.
    """
    listing, table = recordings.listing, recordings.table
    classes, labels = numbers(take.label for take in listing.takes)
    speakers, spoken = numbers(take.speaker for take in listing.takes)
    problems = [*listing.problems, *recordings.problems]
    if listing.by_folder and len(classes) == 1:
        problems.append(f"the only class folder is {classes[0]!r}: its recordings count as unlabelled")
        classes, labels = (), None
    held, more = _held(listing, split or listing.split, labels, classes, test_fraction, seed)
    problems += more
    table = table._replace(
        labels=None if labels is None else labels[table.take],
        speakers=None if spoken is None else spoken[table.take],
    )
    kept = (~held[table.take]).nonzero().flatten()
    tested = held[table.take].nonzero().flatten()
    if labels_per_class is not None:
        if table.labels is None:
            raise UserError(f"labels_per_class needs labels, and {source} has none; leave it out")
        kept = kept[subset_per_class(table.labels[kept], labels_per_class, classes=classes, seed=seed)]
    longest = int(table.lengths[kept].max())
    cut = int((table.lengths[tested] > longest).sum())
    if cut:
        problems.append(f"test clips that end where the longest training clip does: {cut}")
    spec = Spec(
        source=source,
        modality="audio",
        shape=(1, longest),
        classes=classes,
        speakers=speakers,
        sample_rate=recordings.rate,
        fingerprint=_fingerprint(recordings.store, table, kept, (recordings.rate, classes, speakers)),
    )
    everything = Clips(recordings.store, table, torch.arange(len(table.take)), spec, listing.takes)
    return Data(everything.subset(kept), everything.subset(tested), spec, tuple(problems))


def _held(
    listing: Listing, split: str | None, labels: Tensor | None, classes: tuple[str, ...], fraction: float, seed: int
) -> tuple[Tensor, tuple[str, ...]]:
    """Which recordings are held out, and what was wrong."""
    if split is not None:
        held = held_out(listing.takes, split, fraction=fraction, seed=seed)
        return held, alone(labels, classes) if split == STRATIFIED else ()
    held = torch.tensor([take.part == "test" for take in listing.takes])
    if held.all() or not held.any():
        raise UserError(f"the source's own split leaves {'nothing to learn from' if held.all() else 'no test set'}")
    return held, ()


def _with_headers(
    root: Path, takes: list[Take], wanted: int | None, on_bad_file: OnBadFile
) -> tuple[list[Take], list[SoundHeader], list[str]]:
    """The recordings that can be opened and are of one rate, where no rate is asked for."""
    results = each(lambda take: read_sound_header(take.path), takes)
    takes, problems = sift(takes, results, SOUNDS, on_bad_file)
    check_count(root, SOUNDS, takes)
    headers = [header for header in results if isinstance(header, SoundHeader)]
    rates = Counter(header.rate for header in headers)
    if wanted is not None or len(rates) == 1:
        return takes, headers, problems
    usual = max(rates, key=lambda rate: (rates[rate], rate))
    other = next(header.rate for header in headers if header.rate != usual)
    if on_bad_file == "error":
        first, second = (
            next(take for take, header in zip(takes, headers, strict=True) if header.rate == rate)
            for rate in (usual, other)
        )
        raise UserError(
            f"{readable(first.path)} has {usual} Hz and {readable(second.path)} has {other} Hz: "
            f"choose one rate for all with --sample-rate {usual} (data.sample_rate)"
        )
    odd = [header if header.rate == usual else BadFile(f"{header.rate} Hz, not {usual}") for header in headers]
    takes, more = sift(takes, odd, SOUNDS, on_bad_file)
    check_count(root, SOUNDS, takes)
    return takes, [header for header in headers if header.rate == usual], problems + more


def _told_of_cuts(found: Sequence[tuple[SoundHeader, list[Clip]]], form: Form) -> list[str]:
    expected = [math.ceil(header.frames / round(form.longest * header.rate)) for header, _ in found]
    cut, missing = sum(count > 1 for count in expected), sum(expected) - sum(len(clips) for _, clips in found)
    told = [f"recordings longer than {form.longest:g} s, cut into clips: {cut}"] if cut else []
    if missing > 0:
        told.append(f"stretches of long recordings that are silent or shorter than 20 ms, left out: {missing}")
    return told


def _table(
    takes: Sequence[Take], rates: Sequence[int], found: Sequence[Sequence[Clip]], level: Level | None
) -> tuple[Table, list[str]]:
    chosen = USUAL_LEVEL if level is None else level
    clips = [clip for group in found for clip in group]
    measured = [clip.measured for clip in clips]
    counts = torch.tensor([len(group) for group in found])
    levels = torch.tensor([one.level for one in measured], dtype=torch.float64)
    offsets = torch.tensor([one.dc for one in measured], dtype=torch.float64)
    gain = torch.tensor([1.0 if one.silent else gain_for(one, chosen) for one in measured], dtype=torch.float64)
    wanted = torch.ones_like(gain) if chosen == "keep" else 10 ** ((chosen - levels) / 20)
    lowered = int(((gain < wanted * (1 - 1e-9)) & torch.tensor([not one.silent for one in measured])).sum())
    table = Table(
        take=torch.arange(len(takes)).repeat_interleave(counts),
        lengths=torch.tensor([clip.length for clip in clips]),
        gain=gain,
        dc=torch.zeros_like(offsets) if chosen == "keep" else offsets,
        level=levels,
        offset=offsets,
        clipped=torch.tensor([one.clipped for one in measured]),
        rate=torch.tensor(rates).repeat_interleave(counts),
    )
    told = f"clips that stay below their level, as a peak would pass full scale: {lowered}"
    return table, [told] if lowered else []


def _fingerprint(store: ClipStore, table: Table, kept: Tensor, names: tuple[object, ...]) -> str:
    content = hashlib.sha256(repr(names).encode())
    content.update(store.digest(kept))
    for column in (table.gain, table.dc, table.labels, table.speakers):
        if column is not None:
            content.update(column[kept].numpy().tobytes())
    return content.hexdigest()
