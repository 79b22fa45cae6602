"""What folders of pictures and folders of sound share: which files count, what class they are of, which are bad."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal, NamedTuple, Protocol, TypeVar

from noiseforge.errors import UserError
from noiseforge.files import readable, reading

Item = TypeVar("Item")
Result = TypeVar("Result")

OnBadFile = Literal["error", "skip"]

TEST_FOLDERS = ("test", "val", "valid")

THREADS = min(8, os.cpu_count() or 1)


class BadFile(Exception):
    """Why a file cannot be used, in a few words."""


class Kind(NamedTuple):
    """Files that a source may consist of, and what they are called."""

    one: str
    many: str
    endings: frozenset[str]


PICTURES = Kind(
    "picture",
    "pictures",
    frozenset(".png .jpg .jpeg .jpe .jfif .bmp .webp .gif .tif .tiff .ppm .pgm .pbm .pnm".split()),  # noqa: SIM905
)
SOUNDS = Kind(
    "recording",
    "recordings",
    frozenset(".wav .flac .ogg .mp3 .aif .aiff".split()),  # noqa: SIM905
)


class Listed(Protocol):
    """A file of a source."""

    @property
    def path(self) -> Path: ...
    @property
    def name(self) -> str: ...


Some = TypeVar("Some", bound=Listed)


class Entry(NamedTuple):
    """A file in a folder."""

    path: Path
    name: str
    """Relative to the root."""
    label: str | None
    """The first sub-folder, if the file is in one."""
    held: bool
    """It belongs to the source's own test set."""


def list_files(root: Path, kind: Kind, *, loose: bool = False) -> tuple[list[Entry], list[str]]:
    """The files of a kind below `root`, training files first, each part by name; and what is in the way.

    Args:
        root: a folder; `train` and one of `test`, `val` or `valid` in it are its own split.
        kind: what is looked for.
        loose: files may lie beside class folders, as their class is not taken from there.

    Raises:
        UserError: the folder cannot be read, or its parts contradict each other.
    """
    with reading(root):
        folders = {path.name: path for path in root.iterdir() if path.is_dir()}
    tests = [name for name in TEST_FOLDERS if name in folders]
    problems: list[str] = []
    if "train" not in folders or not tests:
        return _list_part(root, root, kind, held=False, loose=loose, problems=problems), problems
    if len(tests) > 1:
        problems.append(f"{tests[0]} is the test set; not used: {', '.join(tests[1:])}")
    train = _list_part(folders["train"], root, kind, held=False, loose=loose, problems=problems)
    test = _list_part(folders[tests[0]], root, kind, held=True, loose=loose, problems=problems)
    _check_parts(root, kind, train, test, loose=loose)
    return train + test, problems


def first_of(root: Path, kind: Kind) -> Path | None:
    """The first file of a kind below a folder; None where there is none."""
    return next((path for path in _files(root) if path.suffix.lower() in kind.endings), None)


def _check_parts(root: Path, kind: Kind, train: list[Entry], test: list[Entry], *, loose: bool) -> None:
    if not train or not test:
        raise UserError(f"{root} has the folders train and test, but one of them holds no {kind.many}; fill it")
    known = {entry.label for entry in train}
    extra = sorted(str(entry.label) for entry in test if entry.label not in known)
    if extra and not loose:
        what = f"{kind.many} outside class folders" if extra[0] == "None" else f"the class {extra[0]!r}"
        raise UserError(f"{root}: the test folder has {what}, which train has not; make both alike")


def _list_part(folder: Path, root: Path, kind: Kind, *, held: bool, loose: bool, problems: list[str]) -> list[Entry]:
    entries, others = [], 0
    for path in _files(folder):
        if path.suffix.lower() in kind.endings:
            parts = path.relative_to(folder).parts
            label = readable(parts[0]) if len(parts) > 1 else None
            entries.append(Entry(path, path.relative_to(root).as_posix(), label, held))
        else:
            others += 1
    if others:
        problems.append(f"files in {readable(folder.name)} that are no {kind.many}, left out: {others}")
    outside = [entry for entry in entries if entry.label is None]
    if outside and len(outside) < len(entries) and not loose:
        raise UserError(
            f"{len(outside)} {kind.many} lie beside the class folders of {readable(folder)}, the first is "
            f"{readable(outside[0].name)}; move them into a class folder, or all {kind.many} into one folder"
        )
    return sorted(entries, key=lambda entry: entry.name)


def _files(folder: Path) -> Iterator[Path]:
    """The files below a folder that are not hidden, through links but never in a circle."""
    seen = set()
    for current, below, files in os.walk(folder, followlinks=True, onerror=_refuse_folder):
        real = os.path.realpath(current)
        below[:] = sorted(name for name in below if not _hidden(name)) if real not in seen else []
        yield from (Path(current, file) for file in sorted(files) if real not in seen and not _hidden(file))
        seen.add(real)


def _hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _refuse_folder(error: OSError) -> None:
    with reading(Path(error.filename)):
        raise error


def each(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result | BadFile]:
    """Results in the order of the items, from a few threads; a BadFile stands where one was raised."""

    def attempt(item: Item) -> Result | BadFile:
        try:
            return function(item)
        except BadFile as error:
            return error

    if len(items) < 2:
        return [attempt(item) for item in items]
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(attempt, items))


def check_count(root: Path, kind: Kind, entries: Sequence[object]) -> None:
    """Refuses fewer than two files.

    Raises:
        UserError: there is none, or only one.
    """
    if len(entries) < 2:
        endings = ", ".join(sorted(kind.endings))
        count = ("no", "one")[len(entries)]
        raise UserError(f"{readable(root)} holds {count} {kind.one} to read: at least 2 are needed; known: {endings}")


def sift(
    entries: list[Some], results: Sequence[object], kind: Kind, on_bad_file: OnBadFile
) -> tuple[list[Some], list[str]]:
    """The entries whose result is not a BadFile, and a line about those that are left out.

    Raises:
        UserError: there is a BadFile, and `on_bad_file` is "error".
    """
    pairs = list(zip(entries, results, strict=True))
    bad = [(entry, result) for entry, result in pairs if isinstance(result, BadFile)]
    if not bad:
        return entries, []
    if on_bad_file == "error":
        raise refusal(bad)
    shown = ", ".join(f"{readable(entry.name)} ({reason})" for entry, reason in bad[:3])
    return (
        [entry for entry, result in pairs if not isinstance(result, BadFile)],
        [f"{kind.many} that cannot be read, left out: {len(bad)}: {shown}{', ...' if len(bad) > 3 else ''}"],
    )


def refusal(bad: Sequence[tuple[Listed, BadFile]]) -> UserError:
    """The error for files that cannot be used, which names the first."""
    entry, reason = bad[0]
    more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
    return UserError(
        f"cannot read {readable(entry.path)}: {reason}{more}; mend or remove it, or pass --on-bad-file skip"
    )
