"""`load_data`: the text that names a source becomes a training set, a test set and their Spec."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import torch
from torch import Tensor

from noiseforge.data.arrays import read_array_file
from noiseforge.data.audio import Recordings, SoundSettings, holds_manifest, list_takes, read_recordings, sound_data
from noiseforge.data.builtin import STACKED, mixture, read_digits, read_mixture, read_stacked
from noiseforge.data.examples import Examples, Found
from noiseforge.data.folder import read_picture_folder
from noiseforge.data.idx import idx_files, read_idx_folder
from noiseforge.data.image import LARGEST, SMALLEST
from noiseforge.data.labels import alone
from noiseforge.data.level import FRAME, Level
from noiseforge.data.listing import PICTURES, SOUNDS, OnBadFile, first_of
from noiseforge.data.recorded import Layout, Recorded, Scaling, Scan, SeriesSettings
from noiseforge.data.scan import scanned
from noiseforge.data.sequences import (
    DIGIT_ROWS,
    SINES,
    check_series_settings,
    holds_series,
    is_frame,
    read_series,
    sequence_data,
    source_name,
)
from noiseforge.data.spec import Data, Spec
from noiseforge.data.split import stratified, subset_per_class
from noiseforge.data.takes import check_split
from noiseforge.data.windows import check_series_split
from noiseforge.errors import UserError, unknown
from noiseforge.files import readable, reading

if TYPE_CHECKING:
    import pandas

MADE = ("spoken-digits", "tones")
"""Sources of sound that need no files."""

KNOWN = (
    "digits",
    "grid",
    "ring",
    SINES,
    DIGIT_ROWS,
    *MADE,
    "stacked-mnist:FOLDER",
    "FOLDER",
    "FILE.npy",
    "FILE.npz",
    "FILE.csv",
    "FILE.parquet",
    "FILE.ts",
)

SLOWEST, FASTEST = 1000, 384_000
"""Sample rates in Hz between which every sound is brought."""


def load_data(
    source: str | Path | pandas.DataFrame,
    *,
    size: int | None = None,
    channels: int | None = None,
    test_fraction: float = 0.1,
    labels_per_class: int | None = None,
    seed: int = 0,
    sample_rate: int | None = None,
    labels_from: str | None = None,
    split: str | None = None,
    level: Level | None = None,
    longest: float | None = None,
    on_bad_file: OnBadFile = "error",
    window: int | None = None,
    stride: int | None = None,
    layout: Layout | None = None,
    scaling: Scaling | None = None,
    id_column: str | None = None,
    time_column: str | None = None,
    label_column: str | None = None,
    scan: Scan | None = None,
) -> Data:
    """Reads a source and splits it.

    Args:
        source: `digits`, `ring`, `grid`, `stacked-mnist:FOLDER`, `tones`, `spoken-digits`, a folder of IDX files, of
            pictures or of sound, a `.npy` or `.npz` file, or a manifest of sound (`.csv`). Of sequences: `sines`,
            `digit-rows`, a table (`.csv`, `.tsv`, `.parquet`, a pandas data frame), a `.ts` file, or an array with
            `layout`.
        size: side of the square pictures in pixels, 8 to 256; None keeps the source's own.
        channels: 1 (grey) or 3 (colour); None keeps the source's own.
        test_fraction: share of each class that is held out where the source has no test set.
        labels_per_class: keep so many training examples of each class; None keeps all.
        seed: of the split, of the subset, and of what is drawn.
        sample_rate: of sound, in Hz: recordings of other rates are resampled; None keeps the rate of the recordings,
            which must then be one.
        labels_from: of sound: a pattern of file names, such as `{label}_{speaker}_{index}`, or `folders`; None takes
            a manifest in the folder, else the naming of spoken digits where every name fits it, else the folders.
        split: of sound: `index:A-B` and `speaker:NAME` hold those out, `stratified` a share of every label of every
            speaker; of sequences `time`, `blocks:N`, `series`, `stratified` or `all` (see `split_windows`); None takes
            the source's own.
        level: of sound: the level of speech in dBFS that every clip is brought to, -23 for None; "keep" leaves clips
            as they were recorded.
        longest: of sound, in seconds: longer recordings are cut into clips of that length; 20 for None.
        on_bad_file: what a file that cannot be read does: "error" stops, "skip" leaves it out.
        window: of sequences: cut every series into windows of so many steps; of `sines`, their steps.
        stride: of sequences: steps from one window to the next, 1 for None.
        layout: of arrays of series: `ntc` is (N, steps, features), `nct` (N, features, steps); of these and of tables
            `wide`: a row is a series of one feature. It is never guessed.
        scaling: of sequences: `minmax` (None), `standard` or `robust`, of every column by its training part.
        id_column: of tables: whose row it is; None takes id, series, series_id or sequence where there is one.
        time_column: of tables: when it was; None takes time, timestamp, date or datetime.
        label_column: of tables: the class of a series; None takes label, class, target or y where it is constant in
            each series.
        scan: reads pictures as sequences: `rows`, `pixels`, or the pixels `permuted` by one fixed order. A source that
            is one of sequences already is read as it is, and the data's `problems` say so.

    Returns:
        Examples of pictures are (C, H, W) in [-1, 1]; points (D,) have mean about 0 and deviation about 1; clips of
        sound (1, T) lie in [-1, 1] and differ in length (see `Clips`); sequences are (T, D) (see `Series`).

    Raises:
        UserError: the source does not exist, cannot be read or does not hold what it should.

    >>> data = load_data("digits")
    >>> len(data.train), len(data.test), data.spec.shape
    (1618, 179, (1, 8, 8))
    """
    _check_settings(size, channels, test_fraction, labels_per_class, on_bad_file)
    series = SeriesSettings(window, stride, layout, scaling, id_column, time_column, label_column, scan)
    check_series_settings(series)
    sound = SoundSettings(sample_rate, labels_from, split, level, longest)
    recorded = _recorded(source, series, sound, size=size, channels=channels, seed=seed, on_bad_file=on_bad_file)
    if recorded is not None:
        return sequence_data(
            recorded,
            series,
            source=source_name(source),
            split=split,
            test_fraction=test_fraction,
            labels_per_class=labels_per_class,
            seed=seed,
        )
    _refuse(str(source), "no sequences", series._asdict(), "sequences")
    _check_sound_settings(sound)
    recordings = _recordings(str(source), sound, size=size, channels=channels, seed=seed, on_bad_file=on_bad_file)
    if recordings is not None:
        return sound_data(
            recordings,
            split,
            source=str(source),
            test_fraction=test_fraction,
            labels_per_class=labels_per_class,
            seed=seed,
        )
    _refuse(str(source), "no sound", sound._asdict(), "sound")
    found = _found(str(source), size=size, channels=channels, seed=seed, on_bad_file=on_bad_file)
    kept, held, problems = _split(found, test_fraction=test_fraction, seed=seed, source=str(source))
    if labels_per_class is not None:
        if found.labels is None:
            raise UserError(f"labels_per_class needs labels, and {source} has none; leave it out")
        kept = kept[subset_per_class(found.labels[kept], labels_per_class, classes=found.classes, seed=seed)]
    spec = Spec(
        source=str(source),
        modality=found.modality,
        shape=found.shape,
        classes=found.classes,
        value_range=found.value_range,
        offset=found.offset,
        scale=found.scale,
        fingerprint=_fingerprint(found, kept),
    )
    everything = Examples(found.store, found.rows, found.labels, spec)
    return Data(everything.subset(kept), everything.subset(held), spec, problems)


def _check_settings(
    size: int | None,
    channels: int | None,
    test_fraction: float,
    labels_per_class: int | None,
    on_bad_file: str,
) -> None:
    if size is not None and not SMALLEST <= size <= LARGEST:
        raise UserError(f"size must be from {SMALLEST} to {LARGEST} pixels, got {size}")
    if channels not in (None, 1, 3):
        raise UserError(f"channels must be 1 (grey) or 3 (colour), got {channels}")
    if not 0 < test_fraction < 1:
        raise UserError(f"test_fraction must lie between 0 and 1, got {test_fraction}")
    if labels_per_class is not None and labels_per_class < 1:
        raise UserError(f"labels_per_class must be at least 1, got {labels_per_class}")
    if on_bad_file not in get_args(OnBadFile):
        raise unknown("way to treat bad files", on_bad_file, get_args(OnBadFile))


def _check_sound_settings(sound: SoundSettings) -> None:
    if sound.sample_rate is not None and not SLOWEST <= sound.sample_rate <= FASTEST:
        raise UserError(f"sample_rate must be {SLOWEST} to {FASTEST} Hz, got {sound.sample_rate}")
    if sound.level is not None and sound.level != "keep" and not -60 <= sound.level <= 0:
        raise UserError(f"level must be -60 to 0 dBFS, or 'keep' for sound as it was recorded, got {sound.level}")
    if sound.longest is not None and not sound.longest >= FRAME:
        raise UserError(f"longest must be at least {FRAME} seconds, got {sound.longest}")
    if sound.split is not None:
        check_split(sound.split)


def _refuse(source: str, what: str, settings: dict[str, object], kind: str) -> None:
    given = [name for name, value in settings.items() if value is not None]
    if given:
        verb, them = ("belongs", "it") if len(given) == 1 else ("belong", "them")
        raise UserError(f"{source} holds {what}: {' and '.join(given)} {verb} to {kind}; leave {them} out")


def _recordings(
    source: str,
    settings: SoundSettings,
    *,
    size: int | None,
    channels: int | None,
    seed: int,
    on_bad_file: OnBadFile,
) -> Recordings | None:
    """What is in a source of sound; None for any other source."""
    path = Path(source).expanduser()
    if not holds_sound(source):
        return None
    _refuse(source, "sound", {"size": size, "channels": channels}, "pictures")
    if source not in MADE:
        listing = list_takes(path, settings.labels_from, on_bad_file)
        return read_recordings(path, listing, settings, on_bad_file)
    _refuse(source, "sounds that are made with their labels", {"labels_from": settings.labels_from}, "files of sound")
    if source == "tones":
        from noiseforge.data.tones import read_tones

        return read_tones(settings, seed=seed)
    from noiseforge.data.speech import read_spoken_digits

    return read_spoken_digits(settings)


def _recorded(
    source: str | Path | pandas.DataFrame,
    settings: SeriesSettings,
    sound: SoundSettings,
    *,
    size: int | None,
    channels: int | None,
    seed: int,
    on_bad_file: OnBadFile,
) -> Recorded | None:
    """What is in a source of sequences; None for any other source."""
    if not holds_series(source, settings) or (not is_frame(source) and holds_sound(str(source))):
        return None
    name = source_name(source)
    if sound.split is not None:
        check_series_split(sound.split)
    _refuse(name, "sequences", {**sound._asdict(), "split": None}, "sound")
    if name != DIGIT_ROWS and holds_series(source, settings._replace(scan=None)):
        if settings.scan is None:
            _refuse(name, "sequences", {"size": size, "channels": channels}, "pictures")
            return read_series(source, settings, seed=seed)
        found = read_series(source, settings, seed=seed)
        told = f"scan={settings.scan} reads pictures, and these are series already: taken as they are"
        return found._replace(problems=(*found.problems, told))
    of_tables = ("layout", "id_column", "time_column", "label_column")
    _refuse(name, "pictures", {key: getattr(settings, key) for key in of_tables}, "tables and arrays of series")
    pictures = "digits" if name == DIGIT_ROWS else name
    pixels = _found(pictures, size=size, channels=channels, seed=seed, on_bad_file=on_bad_file)
    return scanned(pixels, settings.scan or "rows", name)


def holds_sound(source: str | Path) -> bool:
    """Whether a source is one of sound, as far as its name and the names of its files tell."""
    return str(source) in MADE or (bool(str(source)) and _is_sound(Path(source).expanduser()))


def _is_sound(path: Path) -> bool:
    """A manifest, or a folder with sound in it and no pictures."""
    with reading(path):
        exists, folder = path.exists(), path.is_dir()
    if not exists or (folder and idx_files(path)):
        return False
    if holds_manifest(path):
        return True
    if not folder:
        if path.suffix.lower() in SOUNDS.endings:
            raise UserError(f"{path} is one recording: at least 2 are needed; give the folder that holds them")
        return False
    sound, picture = first_of(path, SOUNDS), first_of(path, PICTURES)
    if sound and picture:
        raise UserError(
            f"{readable(path)} holds both sound ({readable(sound.name)}) and pictures ({readable(picture.name)}): "
            f"give a folder of one kind"
        )
    return sound is not None


def _found(source: str, *, size: int | None, channels: int | None, seed: int, on_bad_file: OnBadFile) -> Found:
    drawn_from = mixture(source)
    if drawn_from:
        if size or channels:
            raise UserError(f"{source} holds points: size and channels are for pictures; leave them out")
        return read_mixture(drawn_from, seed=seed)
    if source == "digits":
        return read_digits(size=size, channels=channels)
    if source.startswith(STACKED):
        folder = _existing(source.removeprefix(STACKED))
        return read_stacked(folder, size=size, channels=channels, seed=seed)
    path = _existing(source)
    if path.suffix.lower() in (".npy", ".npz") and path.is_file():
        return read_array_file(path, size=size, channels=channels)
    if path.suffix.lower() in PICTURES.endings and path.is_file():
        raise UserError(f"{path} is one picture: at least 2 are needed; give the folder that holds them")
    if not path.is_dir():
        raise UserError(f"{path} is neither a folder nor a .npy, .npz or .csv file; known: {', '.join(KNOWN)}")
    if idx_files(path):
        return read_idx_folder(path, size=size, channels=channels)
    if first_of(path, PICTURES) is None:
        endings = ", ".join(sorted(PICTURES.endings | SOUNDS.endings))
        raise UserError(f"{path} holds no pictures and no sound to read: at least 2 are needed; known: {endings}")
    return read_picture_folder(path, size=size, channels=channels, on_bad_file=on_bad_file)


def _existing(text: str) -> Path:
    if not text:
        raise UserError(f"the data source has an empty path; use one of {', '.join(KNOWN)}")
    path = Path(text).expanduser()
    with reading(path):
        exists = path.exists()
    if exists:
        return path
    if path.name == text and not path.suffix:
        raise UserError(f"{unknown('data source (and no such folder)', text, KNOWN)}; name yours with --data SOURCE")
    raise UserError(f"{text} does not exist; check the path, or use one of {', '.join(KNOWN)}")


def _split(found: Found, *, test_fraction: float, seed: int, source: str) -> tuple[Tensor, Tensor, tuple[str, ...]]:
    """Indices of the training and the test examples, and what was wrong."""
    count = len(found.rows)
    if count < 2:
        raise UserError(f"{source} holds {count} examples, at least 2 are needed, to learn and to test")
    if found.train_count is not None:
        indices = torch.arange(count)
        return indices[: found.train_count], indices[found.train_count :], found.problems
    labels = count if found.labels is None else found.labels
    kept, held = stratified(labels, fraction=test_fraction, seed=seed)
    return kept, held, (*found.problems, *alone(found.labels, found.classes))


def _fingerprint(found: Found, kept: Tensor) -> str:
    content = hashlib.sha256(repr((found.shape, found.offset, found.scale, found.classes)).encode())
    content.update(found.store.digest(found.rows[kept].flatten()))
    if found.labels is not None:
        content.update(found.labels[kept].numpy().tobytes())
    return content.hexdigest()
