"""Reading and writing files: what the system refuses is said in one line, and a kill loses nothing that was whole."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from noiseforge.errors import UserError


def readable(name: str | Path) -> str:
    """A file's name as text that can be printed and saved, whatever bytes it is made of.

    >>> readable("caf\\udce9.png")
    'caf?.png'
    """
    return str(name).encode("utf-8", "replace").decode()


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turns a refusal of the system while `path` is read into a UserError."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error) or type(error).__name__
        raise UserError(
            f"cannot read {readable(path)}: {reason}; check that it is whole and that you may read it"
        ) from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary name beside `path`, which takes its place once the block has ended without an error.

    What is written under the temporary name is a file, which is on the disk before the rename, or a folder,
    which takes the place of another with all that is in it: whether that may go is for the caller to ask. Parents
    are made. A refusal of the system (full, read-only) raises UserError.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        if temporary.is_file():
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
        _take_place(temporary, path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(
            f"cannot write {readable(path)}: {reason}; free some space or choose another place to write to"
        ) from error
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        elif temporary.exists():
            temporary.unlink()


@contextmanager
def new_folder(path: Path) -> Iterator[None]:
    """Makes a folder and its parents for what the block writes; a block that fails leaves no empty ones behind."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        for folder in missing:
            with suppress(OSError):
                folder.rmdir()
        raise


def write_text(path: Path, text: str) -> None:
    """Writes `text` to `path` in UTF-8, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _take_place(temporary: Path, path: Path) -> None:
    """Renames; a folder in the way is set aside before, and removed once the new one stands in its place."""
    if not (temporary.is_dir() and path.is_dir()):
        temporary.replace(path)
        return
    aside = path.with_name(f".{path.name}.{os.getpid()}.replaced")
    path.replace(aside)
    try:
        temporary.replace(path)
    except OSError:
        aside.replace(path)
        raise
    shutil.rmtree(aside, ignore_errors=True)
