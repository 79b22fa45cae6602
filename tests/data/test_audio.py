"""Folders of sound become clips of one rate and one level, exactly where nothing is to be changed."""

import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image
from tests.data.sound_files import RATE, tone, write

from noiseforge.data import audio, load_data
from noiseforge.data.clips import ClipFiles, Clips
from noiseforge.data.level import HIGHEST_PEAK, active_level
from noiseforge.data.spec import Data
from noiseforge.errors import UserError


def clips(data: Data) -> list[np.ndarray]:
    """All clips, training first, without their padding."""
    found = []
    for part in (data.train, data.test):
        batch = part.batch(torch.arange(len(part)))
        assert batch.length is not None and batch.x.shape[2] == batch.length.max() <= data.spec.shape[1]
        assert all((row[end:] == 0).all() for row, end in zip(batch.x[:, 0], batch.length, strict=True))
        found += [row[:end].numpy() for row, end in zip(batch.x[:, 0], batch.length, strict=True)]
    return found


@pytest.mark.parametrize(
    ("ending", "options", "error"),
    [
        (".wav", {"subtype": "PCM_16"}, 0),
        (".wav", {"subtype": "PCM_24"}, 0),
        (".WAV", {"subtype": "FLOAT"}, 0),
        (".wav", {"subtype": "PCM_U8"}, 1 / 128),
        (".flac", {}, 0),
        (".aiff", {}, 0),
        (".ogg", {}, 0.05),
        (".mp3", {}, 0.05),
    ],
)
@pytest.mark.parametrize("stereo", [False, True])
def test_every_kind_is_read(tmp_path: Path, ending: str, options: dict[str, str], error: float, stereo: bool) -> None:
    x = tone(0.5)
    for index in range(2):
        write(tmp_path / f"{index}{ending}", np.stack([x + 0.125, x - 0.125], 1) if stereo else x, **options)
    data = load_data(tmp_path, level="keep")
    assert data.spec.modality == "audio" and data.spec.sample_rate == RATE and data.spec.value_range == (-1, 1)
    assert (data.spec.offset, data.spec.scale) == (0, 1)
    for clip in clips(data):
        assert len(clip) >= 4000
        np.testing.assert_allclose(clip[200:3800], x[200:3800], atol=error or 1e-9)


def test_16_bits_are_exact(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(-(2**15), 2**15, (3, 400)).astype(np.int16)
    values[0, :2] = -(2**15), 2**15 - 1
    for index, row in enumerate(values):
        write(tmp_path / f"{index}.wav", row)
    data = load_data(tmp_path, level="keep")
    assert isinstance(data.train, Clips) and data.train.store.samples.dtype == torch.int16
    found = sorted((clip * 32768).astype(int).tolist() for clip in clips(data))
    assert found == sorted(values.tolist()) and data.train.gain.tolist() == [0, 0]


def test_levels_and_offsets_are_normalised_and_gains_kept(tmp_path: Path) -> None:
    for index, amplitude in enumerate((0.01, 0.1, 0.5)):
        write(tmp_path / f"{index}.wav", np.pad(tone(0.2, amplitude=amplitude), 400 * index) + 0.1)
    write(tmp_path / "3.wav", np.concatenate([tone(0.2, amplitude=0.01), [0.9] * 3]))  # a click
    data = load_data(tmp_path, test_fraction=0.25)
    assert any("1" in problem and "below their level" in problem for problem in data.problems)
    levels = [active_level(clip.astype(np.float64), RATE) for clip in clips(data)]
    peaks = [np.abs(clip).max() for clip in clips(data)]
    loud = int(np.argmax(peaks))
    assert peaks[loud] == pytest.approx(HIGHEST_PEAK, abs=1e-6)
    assert np.delete(levels, loud) == pytest.approx([-23] * 3, abs=0.01)
    assert all(abs(clip.mean()) < 1e-6 for clip in clips(data))
    assert isinstance(data.train, Clips)
    expected = -23 - data.train.table.level[data.train.rows]
    assert (data.train.gain - expected).abs().sort().values[:2].max() < 1e-9
    assert load_data(tmp_path, level=-30).spec.fingerprint != data.spec.fingerprint


def test_resampling_is_asked_for_and_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path / "a.wav", tone(0.5, rate=16_000), rate=16_000)
    write(tmp_path / "b.wav", tone(0.5))
    with pytest.raises(UserError, match=r"b\.wav has 8000 Hz|a\.wav has 16000 Hz") as caught:
        load_data(tmp_path)
    assert "a.wav" in str(caught.value) and "b.wav" in str(caught.value) and "--sample-rate" in str(caught.value)
    with caplog.at_level(logging.INFO):
        data = load_data(tmp_path, sample_rate=8000, level="keep")
    assert "resampling 1 of 2 recordings" in caplog.text and data.spec.sample_rate == 8000
    for clip in clips(data):
        np.testing.assert_allclose(clip[200:3800], tone(0.5)[200:3800], atol=1e-3)


def test_class_folders_and_their_split(tmp_path: Path) -> None:
    for part, count in (("train", 4), ("test", 2)):
        for index in range(count):
            write(tmp_path / part / f"c{index % 2}" / f"{index}.wav", tone(hertz=200 + 50 * index))
    data = load_data(tmp_path)
    assert (len(data.train), len(data.test), data.spec.classes) == (4, 2, ("c0", "c1"))
    batch = data.train.batch(torch.tensor([0, 2]))
    assert batch.y is not None and batch.y.tolist() == [0, 1] and batch.condition is None
    assert len(load_data(tmp_path, split="stratified", test_fraction=0.5).train) == 2
    write(tmp_path / "train" / "loose.wav")
    with pytest.raises(UserError, match="1 recordings lie beside the class folders"):
        load_data(tmp_path)


def spoken(root: Path) -> Path:
    for digit in range(2):
        for speaker in ("ann", "bob"):
            for index in (0, 5, 10):
                write(root / f"{digit}_{speaker}_{index}.wav", tone(0.05 + 0.01 * index, 200 + 90 * digit + index))
    return root


def test_spoken_digits_are_recognised(tmp_path: Path) -> None:
    data = load_data(spoken(tmp_path))
    assert data.spec.classes == ("0", "1") and data.spec.speakers == ("ann", "bob")
    assert (len(data.train), len(data.test), data.spec.shape) == (8, 4, (1, 1200))
    batch = data.test.batch(torch.tensor([3, 1]))
    assert batch.y is not None and batch.condition is not None and batch.length is not None
    assert (batch.y.tolist(), batch.condition.tolist(), batch.length.tolist()) == ([1, 0], [1, 1], [400, 400])
    assert isinstance(data.train, Clips)
    part = data.train.subset(torch.tensor([0, 7]))
    assert part.labels is not None and part.speakers is not None
    found = (part.labels.tolist(), part.speakers.tolist(), part.lengths.tolist())
    assert found == ([0, 1], [0, 1], [1200, 800])
    assert len(load_data(tmp_path, labels_per_class=2).train) == 4
    alone = load_data(tmp_path, split="speaker:bob")
    assert isinstance(alone.test, Clips) and alone.test.speakers.tolist() == [1] * 6 and len(alone.train) == 6
    folders = load_data(tmp_path, labels_from="folders")
    assert folders.spec.classes == () and folders.spec.speakers == ()
    assert load_data(tmp_path, labels_from="{_}_{speaker}_{index}").spec.classes == ()


def test_the_official_split_of_real_digits(shared_data: Path) -> None:
    data = load_data(shared_data / "fsdd")
    assert (len(data.train), len(data.test), len(data.spec.classes), len(data.spec.speakers)) == (2250, 250, 10, 5)
    assert data.spec.sample_rate == 8000 and data.problems == ()
    assert isinstance(data.train, Clips) and int(data.train.lengths.min()) >= 1148
    assert torch.bincount(data.train.labels * 5 + data.train.speakers).tolist() == [45] * 50


def test_long_recordings_are_cut_and_stay_on_one_side(tmp_path: Path) -> None:
    for index in range(4):
        write(tmp_path / f"{index}.wav", np.concatenate([tone(0.5, 300 + index), np.zeros(3200), tone(0.11)]))
    data = load_data(tmp_path, longest=0.2, test_fraction=0.5)
    assert isinstance(data.train, Clips) and isinstance(data.test, Clips)
    assert not {*data.train.table.take[data.train.rows].tolist()} & {*data.test.table.take[data.test.rows].tolist()}
    assert data.train.lengths.tolist() == [1600] * 8
    assert any(problem.endswith("cut into clips: 4") for problem in data.problems)
    assert any(problem.endswith("shorter than 20 ms, left out: 8") for problem in data.problems)


def test_test_clips_end_where_the_longest_training_clip_does(tmp_path: Path) -> None:
    write(tmp_path / "train" / "a.wav", tone(0.1))
    write(tmp_path / "test" / "b.wav", tone(0.2))
    data = load_data(tmp_path)
    assert [len(clip) for clip in clips(data)] == [800, 800] and "test clips that end" in data.problems[0]


def test_large_sets_are_read_when_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spoken(tmp_path)
    write(tmp_path / "0_ann_11.wav", tone(0.5))
    kept = load_data(tmp_path, longest=0.2)
    monkeypatch.setattr(audio, "KEPT_BYTES", 100)
    read = load_data(tmp_path, longest=0.2)
    assert isinstance(read.train, Clips) and isinstance(read.train.store, ClipFiles)
    for one, other in zip(clips(kept), clips(read), strict=True):
        np.testing.assert_array_equal(one, other)
    assert load_data(tmp_path, longest=0.2).spec == read.spec
    shutil.rmtree(tmp_path)
    with pytest.raises(UserError, match="cannot read"):
        read.train.batch(torch.tensor([0]))


def test_the_fingerprint_covers_samples_labels_and_rate(tmp_path: Path) -> None:
    for index in range(4):
        write(tmp_path / f"{'ab'[index % 2]}_{index}.wav", tone(0.1 + 0.01 * index))
    found = {
        load_data(tmp_path, **options).spec.fingerprint
        for options in ({}, {"labels_from": "{label}_{_}"}, {"sample_rate": 4000}, {"level": "keep"}, {"seed": 3})
    }
    assert len(found) == 5
    before = load_data(tmp_path).spec.fingerprint
    assert load_data(tmp_path).spec.fingerprint == before
    for path in sorted(tmp_path.iterdir()):
        x, rate = soundfile.read(path)
        write(path, 0.5 * x + 2**-10 * (np.arange(len(x)) % 2), rate)
    assert load_data(tmp_path).spec.fingerprint != before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 32}, "holds sound: size belongs to pictures"),
        ({"labels_from": "{label}-{index}"}, r"12 of 12 file names do not fit .* the first is 0_ann_0\.wav"),
        ({"split": "indx:0-4"}, "unknown split 'indx:0-4'"),
        ({"sample_rate": 10}, "1000 to 384000 Hz, got 10"),
        ({"level": 3.0}, "-60 to 0 dBFS, or 'keep'"),
        ({"longest": 0.001}, "at least 0.02 seconds"),
    ],
)
def test_settings_that_do_not_fit(tmp_path: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_data(spoken(tmp_path), **options)


def test_names_that_do_not_fit_can_be_skipped(tmp_path: Path) -> None:
    write(spoken(tmp_path) / "extra.wav")
    data = load_data(tmp_path, labels_from="{label}_{speaker}_{index}", on_bad_file="skip")
    assert len(data.train) + len(data.test) == 12 and "does not fit" in data.problems[0]
    assert "left out: 1" in data.problems[0]
    with pytest.raises(UserError, match=r"13 of 13 file names do not fit .*rename them or choose another pattern$"):
        load_data(tmp_path, labels_from="{label}-{index}", on_bad_file="skip")


def test_other_sources_refuse_settings_of_sound() -> None:
    with pytest.raises(UserError, match="digits holds no sound: sample_rate and split belong to sound"):
        load_data("digits", sample_rate=8000, split="stratified")
    with pytest.raises(UserError, match="labels_from belongs to files"):
        load_data("tones", labels_from="folders")


def test_folders_of_two_kinds_and_of_too_little(tmp_path: Path) -> None:
    one = write(tmp_path / "a.wav")
    with pytest.raises(UserError, match="holds one recording to read: at least 2"):
        load_data(tmp_path)
    with pytest.raises(UserError, match="is one recording"):
        load_data(one)
    Image.new("L", (8, 8)).save(tmp_path / "b.png")
    with pytest.raises(UserError, match=r"both sound \(a.wav\) and pictures \(b.png\)"):
        load_data(tmp_path)
