"""The demo of sound: which data it takes, and what it leaves to play and to look at."""

import ctypes.util
import json
import sys
import wave
from pathlib import Path
from types import SimpleNamespace

import pytest

from noiseforge import api
from noiseforge.cli import main
from noiseforge.demonstrations import DIGITS, SPOKEN_DIGITS, TONES, Demonstration, demonstration
from noiseforge.recipes.load import read_recipe

TINY = ["train.images=16", "train.batch=4", "train.sample_every=16", "model.dilations=[1, 2]", "model.crop=400"]
TINY += ["model.residual=4", "model.gate=4", "model.skip=4", "model.conditions=4"]


@pytest.mark.parametrize(
    ("voices", "recipe", "note"),
    [
        (None, "audio/tones", "pip install 'noiseforge[speech]'"),
        (SimpleNamespace(get_library_path=lambda: "/no/such/library.so"), "audio/tones", "cannot be loaded here"),
        (SimpleNamespace(get_library_path=lambda: ctypes.util.find_library("c")), "audio/spoken-digits", ""),
    ],
)
def test_sound_speaks_where_voices_are_installed(
    monkeypatch: pytest.MonkeyPatch, voices: SimpleNamespace | None, recipe: str, note: str
) -> None:
    monkeypatch.setitem(sys.modules, "espeakng_loader", voices)
    shown = demonstration("audio")
    assert shown.recipe == recipe
    assert note in shown.note and bool(shown.note) == bool(note)


@pytest.mark.parametrize(("shown", "source"), [(DIGITS, "digits"), (SPOKEN_DIGITS, "spoken-digits"), (TONES, "tones")])
def test_what_is_trained_on_needs_no_files(shown: Demonstration, source: str) -> None:
    assert read_recipe(shown.recipe).data.source == source


def test_the_demo_of_sound_leaves_sound_and_a_report(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    train, evaluate = api.train, api.evaluate
    monkeypatch.setattr("noiseforge.api.train", lambda *given, **named: train(*given, overrides=TINY, **named))
    monkeypatch.setattr(
        "noiseforge.api.evaluate", lambda run, **named: evaluate(run, metrics=["duration_distance"], n=4, **named)
    )
    assert main(["demo", "--modality", "audio", "--json", "demo.json"]) == 0
    said, made = capsys.readouterr().out, json.loads(Path("demo.json").read_text())
    assert made["run"] == "runs/demo-audio" and Path(made["report"]).is_file()
    assert "pip install 'noiseforge[speech]'" in said and f"Listen to the WAVs in {made['samples']}" in said
    clips = sorted(Path(made["samples"]).rglob("*.wav"))
    assert len(clips) == 40 and {clip.parent.name for clip in clips} == {"bell", "glide", "pluck", "reed"}
    with wave.open(str(clips[0])) as clip:
        assert clip.getframerate() == 8000 and 2000 <= clip.getnframes() <= 4000
    command = next(line for line in said.splitlines() if line.startswith("next: noiseforge sample"))
    assert main([word.strip("'") for word in command.split()[2:]]) == 0
    assert len(list(Path("plucks/pluck").glob("pluck_low_*.wav"))) == 6
