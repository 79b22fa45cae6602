"""A vocoder's run: it is looked at, evaluated and shown by the clips that it makes anew."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from tests.data.sound_files import tone, write

import noiseforge
from noiseforge.cli import main
from noiseforge.data.source import load_data
from noiseforge.data.spec import Data
from noiseforge.errors import UserError
from noiseforge.objectives.spectral import log_spectral_distance
from noiseforge.recipes.schema import Recipe
from noiseforge.training.loop import train
from noiseforge.training.monitor import Monitor
from noiseforge.training.run import Run

MODEL: dict[str, Any] = {
    "kind": "wavenet",
    "condition_on": ["mel", "label"],
    "dilations": [1, 2, 4],
    "stacks": 1,
    "residual": 8,
    "gate": 8,
    "skip": 8,
    "crop": 200,
}


@pytest.fixture(scope="module")
def tones() -> Data:
    return load_data("tones")


@pytest.fixture(scope="module")
def run(tones: Data, tmp_path_factory: pytest.TempPathFactory) -> Run:
    recipe = {"data": {"source": "tones"}, "model": MODEL, "train": {"images": 8, "batch": 4}}
    return train(Recipe.model_validate(recipe), tones, tmp_path_factory.mktemp("runs") / "vocoder")


def test_a_look_is_at_held_out_clips_made_anew(run: Run, tones: Data) -> None:
    monitor = Monitor(run.load_model("cpu"), tones, run.path, 0)
    assert monitor.held_out.length is not None
    sounds = sorted((run.path / "samples").glob("*.wav"))
    assert sounds and list((run.path / "samples").glob("*.png"))
    frames = int(monitor.held_out.length.sum()) + 15 * 2000  # between any two, a quarter of a second
    assert [soundfile.info(path).frames for path in sounds] == [frames] * len(sounds)


def test_pairs_are_written_as_they_come_back(run: Run, tones: Data, tmp_path: Path) -> None:
    pairs = noiseforge.reconstruct(run, n=5, seed=1, out=tmp_path / "pairs")
    assert pairs.length is not None and pairs.examples.shape == pairs.reconstructions.shape
    assert not np.array_equal(pairs.examples, pairs.reconstructions)
    names = sorted(path.name for path in (tmp_path / "pairs").iterdir())
    assert names == sorted(f"{index:05d}_{kind}.wav" for index in range(5) for kind in ("real", "made"))
    for index, length in enumerate(pairs.length.tolist()):
        for kind, clips in (("real", pairs.examples), ("made", pairs.reconstructions)):
            sound, rate = soundfile.read(tmp_path / "pairs" / f"{index:05d}_{kind}.wav", dtype="float32")
            assert rate == 8000 and sound.shape == (length,)
            np.testing.assert_allclose(sound, clips[index, 0, :length], atol=1.01 / 32768)
    made, real = (torch.from_numpy(clips[:, 0]) for clips in (pairs.reconstructions, pairs.examples))
    distance = log_spectral_distance(made, real, length=torch.from_numpy(pairs.length)).mean()
    assert pairs.error() == ("log-spectral distance in dB", pytest.approx(float(distance)))
    again = noiseforge.reconstruct(run, n=5, seed=1, out=tmp_path / "pairs", overwrite=True)
    assert np.array_equal(again.reconstructions, pairs.reconstructions)


def test_one_file_holds_each_clip_before_what_is_made_of_it(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["reconstruct", str(run.path), "-n", "3", "--out", str(tmp_path / "pairs.wav")]
    assert main([*words, "--json", str(tmp_path / "told.json")]) == 0
    pairs = noiseforge.reconstruct(run, n=3)
    assert pairs.length is not None
    sound, _ = soundfile.read(tmp_path / "pairs.wav", dtype="float32")
    assert len(sound) == 2 * int(pairs.length.sum()) + 5 * 2000
    begin = 0
    for length, real, made in zip(pairs.length.tolist(), pairs.examples, pairs.reconstructions, strict=True):
        for clip in (real, made):
            np.testing.assert_allclose(sound[begin : begin + length], clip[0, :length], atol=1.01 / 32768)
            begin += length + 2000
    told = json.loads((tmp_path / "told.json").read_text())
    assert told["log_spectral_distance_in_dB"] == pytest.approx(pairs.error()[1]) and told["n"] == 3
    assert "3 pairs" in capsys.readouterr().out


def test_an_evaluation_is_of_test_clips_made_anew_and_says_so(run: Run, tones: Data) -> None:
    found = noiseforge.evaluate(run, metrics=("duration_distance", "spectrum_distance"), n=500)
    duration, spectrum = found.figures
    assert duration.n_fake == spectrum.n_fake == len(tones.test) and f"-n {len(tones.test)}" in found.command
    assert duration.value == 0 < spectrum.value
    assert all("test clips, made anew" in figure.note for figure in found.figures)


def test_other_sound_is_made_anew_where_the_model_knows_its_labels(run: Run, tmp_path: Path) -> None:
    for index in range(6):
        for label in ("bell", "glide", "pluck", "reed"):
            write(tmp_path / "same" / label / f"{index}.wav", tone(0.1, 300 + 40 * index, rate=16000), 16000)
        for label in ("dog", "cat"):
            write(tmp_path / "others" / label / f"{index}.wav", tone(0.1, 300 + 40 * index))
    pairs = noiseforge.reconstruct(run, tmp_path / "same", n=2, part="train")
    assert pairs.length is not None and pairs.length.tolist() == [800, 800]
    with pytest.raises(UserError, match="told the classes of tones"):
        noiseforge.reconstruct(run, tmp_path / "others", n=2)
    with pytest.raises(UserError, match=r"takes sound at 8000 Hz, and .*same has sound at 16000 Hz"):
        noiseforge.reconstruct(run, load_data(tmp_path / "same"), n=2)
    with pytest.raises(UserError, match="makes audio data, and digits holds image data"):
        noiseforge.reconstruct(run, "digits", n=2)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["sample", "--out", "a.wav"], "noiseforge reconstruct"),
        (["reconstruct", "--out", "a.png"], "cannot be saved as '.png'"),
        (["reconstruct", "--out", "a.npz"], "ends in .wav"),
        (["encode", "--out", "a.csv"], "has no encoder"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(
    run: Run, words: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([words[0], str(run.path), *words[1:]]) == 2
    error = capsys.readouterr().err
    assert reason in error and error.count("\n") == 1


def test_a_model_without_a_way_back_is_told_what_has_one(tones: Data, tmp_path: Path) -> None:
    recipe = {"data": {"source": "tones"}, "model": {**MODEL, "condition_on": []}, "train": {"images": 4, "batch": 4}}
    run = train(Recipe.model_validate(recipe), tones, tmp_path / "run")
    with pytest.raises(UserError, match=r"no encoder.*condition_on=\[mel\]"):
        noiseforge.reconstruct(run)
