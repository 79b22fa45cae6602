"""Sound is saved by ending and read back as it was; nothing but saved samples is replaced."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from tests.data.sound_files import tone, write

from noiseforge.data import describe, load_data
from noiseforge.data.samples import as_samples, read_samples
from noiseforge.data.saving import check_target, save_samples
from noiseforge.data.spec import Spec
from noiseforge.errors import UserError

SPEC = Spec(
    source="x",
    modality="audio",
    shape=(1, 1000),
    classes=("../a", "y_z"),
    speakers=("jo_ann", "bob"),
    sample_rate=8000,
    fingerprint="",
)
LENGTH, Y, SPEAKER = torch.tensor([800, 1000, 400, 600]), torch.tensor([0, 1, 1, 0]), torch.tensor([1, 0, 1, 0])


def drawn() -> torch.Tensor:
    """Clips of whole steps of 16 bits, padded with zeros."""
    x = torch.rand(4, 1, 1000, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return (x * 32768).floor() / 32768 * (torch.arange(1000) < LENGTH[:, None, None])


@pytest.mark.parametrize("with_speaker", [False, True])
@pytest.mark.parametrize("with_label", [False, True])
@pytest.mark.parametrize("name", ["out", "out.npz"])
def test_what_is_saved_is_read_back_exactly(tmp_path: Path, name: str, with_label: bool, with_speaker: bool) -> None:
    x, y, speaker = drawn(), Y if with_label else None, SPEAKER if with_speaker else None
    save_samples(tmp_path / name, x, SPEC, y, length=LENGTH, speaker=speaker)
    read = read_samples(tmp_path / name, SPEC, level="keep")
    assert read.length is not None and sorted(read.length.tolist()) == [400, 600, 800, 1000]
    order = torch.tensor([LENGTH.tolist().index(length) for length in read.length.tolist()])
    assert torch.equal(read.x, x[order])
    for found, given in ((read.y, y), (read.speaker, speaker)):
        assert found is None if given is None else torch.equal(found, given[order])


def test_names_of_files_say_what_they_hold(tmp_path: Path) -> None:
    save_samples(tmp_path / "a", drawn(), SPEC, Y, length=LENGTH, speaker=SPEAKER)
    found = sorted(path.relative_to(tmp_path / "a").as_posix() for path in (tmp_path / "a").rglob("*.wav"))
    assert found == [
        "_._a/---a_bob_00000.wav",
        "_._a/---a_jo-ann_00003.wav",
        "y_z/y-z_bob_00002.wav",
        "y_z/y-z_jo-ann_00001.wav",
    ]
    data = load_data(tmp_path / "a", labels_from="{label}_{speaker}_{index}", split="index:0")
    assert data.spec.classes == ("---a", "y-z") and data.spec.speakers == ("bob", "jo-ann") and len(data.test) == 1
    info = soundfile.info(tmp_path / "a" / found[0])
    assert (info.samplerate, info.channels, info.subtype, info.frames) == (8000, 1, "PCM_16", 800)


def test_one_file_joins_clips_with_a_pause(tmp_path: Path) -> None:
    x = drawn()
    save_samples(tmp_path / "one.wav", x[:1], SPEC, length=LENGTH[:1])
    save_samples(tmp_path / "all.wav", x, SPEC, length=LENGTH)
    one, _ = soundfile.read(tmp_path / "one.wav")
    joined, _ = soundfile.read(tmp_path / "all.wav")
    np.testing.assert_array_equal(one, x[0, 0, :800])
    assert len(joined) == int(LENGTH.sum()) + 3 * 2000
    np.testing.assert_array_equal(joined[:800], one)
    assert not joined[800:2800].any()
    np.testing.assert_array_equal(joined[2800:3800], x[1, 0])


def test_values_are_clamped_and_never_wrap_around(tmp_path: Path) -> None:
    x = torch.tensor([[[-3.0, -1.0, 0.0, 1.0, 3.0]]])
    save_samples(tmp_path / "a.wav", x, SPEC)
    assert soundfile.read(tmp_path / "a.wav", dtype="int16")[0].tolist() == [-32768, -32768, 0, 32767, 32767]


@pytest.mark.parametrize("name", ["a.png", "a.csv", "a.gif", "a.mp3"])
def test_other_endings_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match=r"sound cannot be saved as .* use \.npy, \.npz, \.wav, or a folder"):
        check_target(tmp_path / name, SPEC)
    with pytest.raises(UserError, match=r"samples cannot be saved as '\.wav'"):
        check_target(tmp_path / "a.wav", SPEC.model_copy(update={"modality": "image"}))


def test_only_a_folder_of_saved_samples_is_replaced(tmp_path: Path) -> None:
    save_samples(tmp_path / "a", drawn(), SPEC, length=LENGTH)
    with pytest.raises(UserError, match="--overwrite"):
        save_samples(tmp_path / "a", drawn()[:1], SPEC)
    save_samples(tmp_path / "a", drawn()[:1], SPEC, overwrite=True)
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["00000.wav"]
    write(tmp_path / "a" / "00001.wav", tone())
    with pytest.raises(UserError, match=r"holds more than saved samples \(00001.wav\)"):
        save_samples(tmp_path / "a", drawn(), SPEC, overwrite=True)


def test_samples_of_another_rate_level_and_length_are_brought_to_the_real_data(tmp_path: Path) -> None:
    for index in range(2):
        write(tmp_path / f"{index}.wav", tone(0.5, amplitude=0.01, rate=16_000), rate=16_000)
    write(tmp_path / "2.wav", np.zeros(1600), rate=16_000)
    read = read_samples(tmp_path, SPEC)
    assert read.x.shape == (3, 1, 1000) and read.length is not None and read.length.tolist() == [1000, 1000, 800]
    rms = read.x[:, 0].square().mean(1).sqrt()
    assert 20 * rms[:2].log10() == pytest.approx(-23, abs=0.2) and rms[2] == 0


def test_arrays_of_sound() -> None:
    x = np.linspace(-32768, 32767, 600).astype(np.int16).reshape(2, 300)
    read = as_samples(x, SPEC)
    assert read.x.shape == (2, 1, 1000) and read.length is not None and read.length.tolist() == [300, 300]
    np.testing.assert_array_equal(read.x[:, 0, :300], x / np.float32(32768))
    with pytest.raises(UserError, match=r"values up to 2: expected int16, or floats"):
        as_samples(np.full((2, 300), 2.0), SPEC)
    with pytest.raises(UserError, match=r"shape \(N, 1, T\) or \(N, T\)"):
        as_samples(np.zeros((2, 3, 300)), SPEC)


def test_the_description_of_sound(tmp_path: Path) -> None:
    for index in range(6):
        write(tmp_path / "ab"[index % 2] / f"{index}.wav", tone(0.1 * (index + 1), amplitude=0.1) + 0.02)
    full = tone(0.5, amplitude=3.0).clip(-1, 1)
    write(tmp_path / "a" / "6.wav", full, subtype="FLOAT")
    write(tmp_path / "a" / "7.wav", full, subtype="FLOAT")
    found = describe(load_data(tmp_path, test_fraction=0.01))
    assert found["classes"] == {"a": 4, "b": 2} and found["speakers"] == {} and found["sample rate"] == 8000
    assert found["total seconds"] == pytest.approx(3.1) and found["rates of the files"] == {"8000": 8}
    assert found["shortest, median, longest seconds"] == pytest.approx([0.1, 0.45, 0.6])
    low, middle, _ = found["lowest, median, highest level in dBFS"]
    assert low == pytest.approx(middle, abs=0.2) and low == pytest.approx(20 * np.log10(0.1 / 2**0.5), abs=0.2)
    assert found["largest offset"] == pytest.approx(0.02, abs=1e-3) and found["clipped clips"] == 2
    assert found["duplicates in training"] + found["test clips also in training"] == 1
    assert {problem.partition(":")[0] for problem in found["problems"]} >= {
        "clips that were clipped when they were recorded",
        "clips with an offset above 1 % of full scale",
    }
