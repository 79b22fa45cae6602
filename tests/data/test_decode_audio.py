"""Broken recordings are told in one line that names them, or left out; the rest of the folder is unharmed."""

import resource
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tests.data.sound_files import RATE, tone, write

from noiseforge.data import load_data
from noiseforge.errors import UserError


def promise(path: Path, size: int = 2**32 - 2) -> None:
    content = bytearray(path.read_bytes())
    place = content.index(b"data") + 4
    content[place : place + 4] = struct.pack("<I", size)
    path.write_bytes(content)


def half(ending: str) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        whole = path.with_name(f"whole{ending}")
        write(whole, np.random.default_rng(0).uniform(-0.5, 0.5, 20_000))
        path.unlink()
        content = whole.read_bytes()
        path.with_suffix(ending).write_bytes(content[: len(content) // 2])
        whole.unlink()

    return damage


def flac_promise(path: Path) -> None:
    half(".flac")(path)
    write(path.with_suffix(".flac"))
    content = bytearray(path.with_suffix(".flac").read_bytes())
    content[21:26] = bytes([content[21] & 0xF0]) + struct.pack(">I", 2**31)
    path.with_suffix(".flac").write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-300]), "truncated: its header promises 1600 bytes"),
        (lambda path: path.write_bytes(path.read_bytes()[:20]), "truncated or corrupt"),
        (lambda path: path.write_bytes(b""), "empty"),
        (lambda path: path.write_text("no sound at all, only words"), "no sound of a known kind"),
        (promise, "promises 4294967294 bytes of sound, 1600 are there"),
        (flac_promise, "truncated or corrupt"),
        (half(".flac"), "truncated"),
        (half(".ogg"), "truncated|broken"),
        (half(".mp3"), "truncated"),
        (half(".aiff"), "truncated"),
        (lambda path: write(path, tone(0.01)), r"lasts 10 ms \(80 samples at 8000 Hz\): at least 20 ms"),
        (lambda path: write(path, np.zeros(4000)), "silent: its level is -120 dBFS"),
        (lambda path: write(path, np.full(4000, 0.25)), "silent"),
        (lambda path: write(path, np.append(tone(), np.nan), subtype="FLOAT"), "NaN or infinite values in 1 samples"),
        (lambda path: write(path, np.append(tone(), np.inf), subtype="FLOAT"), "the first 0.100 s in"),
        (lambda path: (path.unlink(), path.symlink_to("gone.wav")), "No such file"),
    ],
)
def test_broken_recordings(tmp_path: Path, damage: Callable[[Path], object], message: str) -> None:
    for index in range(4):
        write(tmp_path / f"{index}.wav", tone(0.1, 300 + 10 * index))
    damage(tmp_path / "1.wav")
    with pytest.raises(UserError, match=message) as caught:
        load_data(tmp_path)
    told = str(caught.value)
    assert "/1." in told and "--on-bad-file skip" in told and "\n" not in told
    data = load_data(tmp_path, on_bad_file="skip", level="keep", test_fraction=0.4)
    assert len(data.train) + len(data.test) == 3 and "left out: 1: 1." in data.problems[0]
    rest = np.sort([part.batch(i[None]).x.numpy().ravel() for part in data[:2] for i in indices(part)], axis=0)
    np.testing.assert_array_equal(rest, np.sort([tone(0.1, 300 + 10 * index) for index in (0, 2, 3)], axis=0))


def indices(part: object) -> object:
    import torch

    return torch.arange(len(part))  # type: ignore[arg-type]


def test_promises_take_no_memory(tmp_path: Path) -> None:
    """A gigabyte that is promised and not there is never asked for."""
    for index in range(3):
        write(tmp_path / f"{index}.wav", tone(0.1, 300 + 10 * index))
    promise(tmp_path / "0.wav")
    flac_promise(tmp_path / "1.wav")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UserError, match="one recording to read"):
        load_data(tmp_path, on_bad_file="skip")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB


def test_recordings_of_another_rate_are_skipped(tmp_path: Path) -> None:
    for index, rate in enumerate((8000, 16_000, 8000)):
        write(tmp_path / f"{index}.wav", tone(0.1, 300 + index, rate=rate), rate=rate)
    data = load_data(tmp_path, on_bad_file="skip")
    assert data.spec.sample_rate == 8000 and "left out: 1: 1.wav (16000 Hz, not 8000)" in data.problems[0]


def test_silence_at_the_end_of_a_recording_is_part_of_it(tmp_path: Path) -> None:
    for index in range(2):
        write(tmp_path / f"{index}.wav", np.pad(tone(0.1, 300 + index), (0, 800)))
    data = load_data(tmp_path)
    assert data.train.batch(indices(data.train)).length.tolist() == [1600]


def test_a_file_that_breaks_later_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from noiseforge.data import audio

    monkeypatch.setattr(audio, "KEPT_BYTES", 0)
    for index in range(2):
        write(tmp_path / f"{index}.wav", tone(0.1, 300 + index))
    data = load_data(tmp_path)
    for path in tmp_path.iterdir():
        soundfile.write(path, tone(0.05), RATE)
    with pytest.raises(UserError, match="400 of 800 samples could be read: the file has changed"):
        data.train.batch(indices(data.train))
