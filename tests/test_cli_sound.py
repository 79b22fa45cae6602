"""The command line on sound: every verb does what fits, refuses the rest in one line, and suggests what works."""

import json
import math
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image
from tests.command_line import said
from tests.data.sound_files import write

import noiseforge
from noiseforge.cli import main
from noiseforge.data import load_data
from noiseforge.data.saving import save_samples
from noiseforge.evaluation.bits import bits_figures
from noiseforge.evaluation.hearing import ear_of
from noiseforge.training.run import Run

RATE = 1000
TINY = ["train.images=32", "train.batch=8", "model.condition_on=[]", "model.dilations=[1, 2, 4]", "model.crop=100"]
TINY += ["model.residual=8", "model.gate=8", "model.skip=8", "model.hop=10", "evaluate.samples=8"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 recordings of 0.1 to 0.2 s at 1 kHz, without labels."""
    root, draws = tmp_path_factory.mktemp("sound"), np.random.default_rng(0)
    for index in range(24):
        time = np.arange(draws.integers(100, 200)) / RATE
        x = 0.3 * np.sin(2 * math.pi * draws.uniform(50, 200) * time) + 0.01 * draws.standard_normal(len(time))
        write(root / f"{index:02}.wav", x, RATE)
    return root


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> Path:
    """A WaveNet that was trained in a second, for tests that only read it."""
    out = tmp_path_factory.mktemp("runs") / "tiny"
    return noiseforge.train("audio/tones", data=folder, out=out, overrides=TINY).path


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Commands run in a folder of their own, so that what they write by default lands there."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        *(
            (
                f"sample RUN --out s{ending}",
                f"cannot be saved as '{ending}' (s{ending}); use .npy, .npz, .wav, or a folder",
            )
            for ending in (".png", ".gif", ".csv", ".mp3")
        ),
        ("sample RUN --out s/ --label 3", "train with model.condition_on=[label]"),
        ("sample RUN --out s/ --speaker ann", "train with model.condition_on=[speaker]"),
        ("sample RUN --out s/ --seconds 0", "seconds must be above 0, got 0.0"),
        (
            "sample RUN --out s/ --seconds 1e12",
            "out of memory: lower train.batch, the size of the networks, -n, or --sec",
        ),
        ("sample RUN --out s/ --temperature 0", "a temperature is a number above 0"),
        ("sample RUN --out s/ --nucleus 0", "a nucleus is a share above 0"),
        ("sample RUN --out s/ --from mixture", "has no encoder (model.kind=wavenet)"),
        ("interpolate RUN --out i.png", "no latent space to walk through (model.kind=wavenet): take a gan, vae"),
        ("encode RUN --out c.csv", "has no encoder (model.kind=wavenet): train a vae"),
        ("reconstruct RUN --out r/", "of sound, a wavenet with model.condition_on=[mel]"),
        ("neighbours RUN --out n.wav", "expected a picture's name that ends in .png"),
        ("neighbours RUN --out n.png --data digits", "makes audio data, and digits holds image data"),
        ("evaluate RUN --data digits", "makes audio data, and digits holds image data"),
        ("evaluate RUN --data digitz", "did you mean 'digits'"),
        ("evaluate RUN --metrics label_agreement", "label_agreement needs a judge of labels"),
        ("evaluate s.wav --data tones", "s.wav does not exist: expected a run, a folder of pictures or of sound"),
        ("compare RUN RUN", "was named twice"),
        ("train audio/tones --data digits --dry-run", "digits holds image examples: name a source of sound"),
        ("train image/mnist-vae --data FOLDER --dry-run", "holds sound, for which there is model.kind=wavenet"),
        ("train toy/ring --data FOLDER --dry-run", "holds sound, for which there is model.kind=wavenet"),
        ("train audio/tones --data FOLDER --dry-run", "needs labels, and"),
    ],
)
def test_what_does_not_fit_sound_is_told_in_one_line(
    capsys: pytest.CaptureFixture[str], run: Path, folder: Path, words: str, message: str
) -> None:
    capsys.readouterr()
    assert main(words.replace("RUN", str(run)).replace("FOLDER", str(folder)).split()) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not list(Path().iterdir())


@pytest.mark.parametrize(("told", "shown"), [("", "sample"), ("mel", "reconstruct")])
def test_every_command_that_is_suggested_works(
    capsys: pytest.CaptureFixture[str], folder: Path, told: str, shown: str
) -> None:
    """From training on, whatever a command says comes next can be typed as it stands, and so on from there."""
    first = ["train", "audio/tones", "--data", str(folder), "--out", "new", *TINY, f"model.condition_on=[{told}]"]
    waiting, done = [first], set()
    while waiting:
        words = waiting.pop(0)
        done.add(words[0])
        lines = [line.split("next: ")[1] for line in said(capsys, *words).splitlines() if "next: " in line]
        waiting += [after for line in lines if (after := shlex.split(line)[1:])[0] not in done and after not in waiting]
    assert done == {"train", "evaluate", shown, "neighbours", "diagnose"}
    assert len(list(Path().glob("samples/*.wav"))) == (64 if shown == "sample" else 0)
    data, border = load_data(folder), 2
    pairs = 4 if shown == "sample" else len(data.test)  # a vocoder has no more samples than clips to make anew
    assert Image.open("neighbours.png").size[0] == 2 * pairs * (ear_of(data).frames + border) + border


@pytest.mark.parametrize("out", ["s/", "s.wav", "s.npy", "s.npz"])
def test_samples_are_those_of_the_seed(capsys: pytest.CaptureFixture[str], run: Path, out: str) -> None:
    assert "s of sound in" in said(capsys, "sample", run, "-n", 3, "--seed", 4, "--seconds", 0.15, "--out", out)
    expected = noiseforge.sample(run, 3, seed=4, seconds=0.15)
    assert expected.shape == (3, 1, 150)
    if out.endswith(".npy"):
        return np.testing.assert_array_equal(np.load(out), expected)
    if out.endswith(".npz"):
        return np.testing.assert_array_equal(np.load(out)["samples"], expected)
    if out.endswith(".wav"):  # with a quarter of a second between
        x, rate = soundfile.read(out)
        parts = [x[start : start + 150] for start in (0, 400, 800)]
        assert len(x) == 950 and not x[150:400].any()
    else:
        parts, rates = zip(*(soundfile.read(path) for path in sorted(Path(out).iterdir())), strict=True)
        rate = rates[0]
    assert rate == RATE
    return np.testing.assert_allclose(np.stack(parts)[:, None], expected, atol=1 / 32768)


@pytest.mark.parametrize("form", ["s/", "s.npz"])
def test_saved_sound_is_evaluated_as_the_run_is(
    capsys: pytest.CaptureFixture[str], run: Path, folder: Path, form: str
) -> None:
    words = ("--metrics", "fid,copies,duration_distance", "--json", "-")
    first = json.loads(said(capsys, "evaluate", run, *words))
    said(capsys, "sample", run, "-n", 8, "--out", form)
    second = json.loads(said(capsys, "evaluate", form, "--data", folder, *words))
    ours, theirs = ({f["metric"]: f["value"] for f in one["figures"]} for one in (first, second))
    assert ours.keys() == {"fid", "copies", "duration_distance"}
    assert theirs["duration_distance"] == ours["duration_distance"] and theirs["copies"] == ours["copies"]
    if form == "s.npz":  # in a folder they are brought to the level of speech
        assert theirs["fid"] == pytest.approx(ours["fid"], rel=1e-5)


def test_runs_of_sound_stand_side_by_side(capsys: pytest.CaptureFixture[str], run: Path, folder: Path) -> None:
    shutil.copytree(run, "twin")
    told = json.loads(said(capsys, "compare", run, "twin", "-n", 8, "--json", "-"))
    one, other = told["contenders"]
    assert one["evaluation"]["figures"] == other["evaluation"]["figures"]
    assert {"fid", "duration_distance"} <= {figure["metric"] for figure in one["evaluation"]["figures"]}
    bits = bits_figures(Run.open(run).load_model(), load_data(folder))[0]
    assert bits.metric == "bits_per_sample" and one["likelihood"][0]["value"] == pytest.approx(bits.value)
    assert one["likelihood_of"] == "of 256 mu-law codes"
    assert one["samples_per_second"] > 0
    page = Path(told["report"]).read_text()
    assert page.count("<audio") == 8 + 8 + 2, "of each its samples, and both test clips"


def test_neighbours_of_training_clips_are_themselves(folder: Path) -> None:
    data, rows = load_data(folder), torch.tensor([3, 1, 4])
    batch = data.train.batch(rows)
    save_samples("s.npz", batch.x, data.spec, length=batch.length)
    found = noiseforge.neighbours("s.npz", data=data, n=3, out="n.png")
    assert sorted(found.indices.tolist()) == sorted(rows.tolist())
    assert found.samples.shape == found.nearest.shape and found.distances.shape == (3,)
    own = data.train.batch(torch.from_numpy(found.indices)).x
    np.testing.assert_array_equal(found.nearest[..., : own.shape[-1]], own)
    assert found.distances.tolist() == pytest.approx([0, 0, 0], abs=1e-5)
    assert np.asarray(Image.open("n.png")).max() == 255


def test_a_bad_recording_is_named_or_left_out(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    shutil.copytree(folder, "sound")
    bad = Path("sound/07.wav")
    bad.write_bytes(bad.read_bytes()[:100])
    for words in ("data sound", "train audio/tones --data sound --out new"):
        assert main([*words.split(), *(TINY if "train" in words else [])]) == 2
        error = capsys.readouterr().err
        assert (
            "sound/07.wav: it is truncated" in error and "pass --on-bad-file skip" in error and error.count("\n") == 1
        )
    assert "left out: 1: 07.wav" in said(capsys, "data", "sound", "--on-bad-file", "skip")
    said(capsys, "train", "audio/tones", "--data", "sound", "--out", "new", "--on-bad-file", "skip", *TINY)
    assert Run.open(Path("new")).records()[-1]["images"] == 32
