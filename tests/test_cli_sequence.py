"""The command line on sequences: tables in, tables out, classes, noise curves, and what is refused."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tests.command_line import refused, said

import noiseforge
from noiseforge import api
from noiseforge.data.source import load_data
from noiseforge.evaluation.coding_sections import coding_sections
from noiseforge.training import monitor
from noiseforge.training.run import Run
from noiseforge.workflows.coding_report import coding_figures, coding_pictures

TINY = ["train.images=64", "train.batch=16", "train.sample_every=64", "model.latent=4", "evaluate.samples=40"]
TINY += ["model.autoencoder.code=4", "model.autoencoder.hidden=6", "model.autoencoder.images=32"]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """80 series of 6 to 12 steps with two sensors, of which one has gaps, and a count."""
    path, draws = tmp_path_factory.mktemp("table") / "log.csv", np.random.default_rng(0)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "time", "a", "b", "count", "label"])
        for series in range(80):
            phase, kind = draws.uniform(0, 6), series % 2
            for step in range(draws.integers(6, 13)):
                a = np.sin(0.5 * (1 + kind) * step + phase)
                b = "" if draws.random() < 0.1 else f"{a**2:.4f}"
                writer.writerow([series, step, f"{a:.4f}", b, round(3 + 2 * a), ("slow", "fast")[kind]])
    return path


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory, table: Path) -> Path:
    """A latent recurrent GAN that was trained in a second."""
    out = tmp_path_factory.mktemp("runs") / "latent"
    settings = [*TINY, "data.window=null", "data.split=null", "model.conditional=true"]
    return noiseforge.train("sequence/stocks", data=table, out=out, overrides=settings).path


@pytest.fixture(scope="module")
def coder(tmp_path_factory: pytest.TempPathFactory, table: Path) -> Path:
    """A recurrent variational autoencoder."""
    out = tmp_path_factory.mktemp("runs") / "coder"
    settings = ["data.window=null", "data.split=series", "train.images=64", "train.batch=16", "model.hidden=6"]
    return noiseforge.train("sequence/sines-vae", data=table, out=out, overrides=settings).path


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory, table: Path) -> Path:
    out = tmp_path_factory.mktemp("runs") / "classifier"
    settings = ["train.images=4000", "train.batch=32", "train.sample_every=400"]
    return noiseforge.train("sequence/digits-rows", data=table, out=out, overrides=settings).path


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def read(name: str) -> list[dict[str, str]]:
    with Path(name).open() as file:
        return list(csv.DictReader(file))


def test_data_describes_every_column_on_a_line_of_its_own(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = said(capsys, "data", table).splitlines()
    assert next(line for line in lines if line.startswith("  count")).split()[1:3] == ["kind", "integer,"]
    assert any(line.startswith("  b") and "missing share 0." in line for line in lines)


def test_samples_are_tables_like_the_data(generator: Path, table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said(capsys, "sample", generator, "-n", 20, "--label", "fast", "--out", "made.csv")
    rows = read("made.csv")
    assert list(rows[0]) == ["id", "time", "a", "b", "count", "label"]
    assert {row["label"] for row in rows} == {"fast"} and len({row["id"] for row in rows}) == 20
    assert all(row["count"].isdigit() for row in rows)
    said(capsys, "sample", generator, "-n", 4, "--denoised", "--out", "made.png")
    assert Image.open("made.png").size[0] > 300
    frame = noiseforge.sample_frame(generator, 5)
    assert str(frame["count"].dtype) == "int64" and frame["id"].nunique() == 5
    array = noiseforge.sample(generator, 5)
    assert array.shape == (5, Run.open(generator).spec.shape[0], 3) and np.isnan(array).any()


def test_samples_of_a_file_are_compared_with_the_data_of_a_run(
    generator: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said(capsys, "sample", generator, "-n", 40, "--out", "made.csv")
    asked = ("--metrics", "marginal_difference,length_difference", "--json", "figures.json")
    said(capsys, "evaluate", "made.csv", "--data", generator, "--out", "of-file", *asked)
    of_file = json.loads(Path("figures.json").read_text())["figures"]
    said(capsys, "evaluate", generator, "-n", 40, "--out", "of-run", *asked)
    of_run = json.loads(Path("figures.json").read_text())["figures"]
    assert [figure["value"] for figure in of_file] == pytest.approx([figure["value"] for figure in of_run], abs=1e-4)
    assert "Nearest training series" in Path("of-run/index.html").read_text()


def test_codes_and_reconstructions_are_of_the_steps_there_are(coder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pairs = noiseforge.reconstruct(coder, n=9, part="train", out="pairs.png")
    assert pairs.length is not None
    examples, again, length = map(torch.from_numpy, (pairs.examples, pairs.reconstructions, pairs.length))
    ended = torch.arange(examples.shape[1]) >= length[:, None]
    assert bool(ended.any()) and not again[ended].any()
    squares = [
        (again[place, :end] - examples[place, :end]).square().nanmean() for place, end in enumerate(length.tolist())
    ]
    assert pairs.error() == ("mean squared error", pytest.approx(float(torch.stack(squares).mean()), rel=1e-5))
    run = Run.open(coder)
    model, data = run.load_model("cpu"), load_data(**run.recipe.data.model_dump())
    batch = data.test.batch(torch.arange(len(data.test)))
    wanted = model.encode(batch.x, None, batch.length).mean
    torch.testing.assert_close(torch.from_numpy(noiseforge.encode(coder).mean), wanted)
    assert not torch.allclose(model.encode(batch.x).mean, wanted, atol=1e-3), "else ends make no difference here"
    said(capsys, "reconstruct", str(coder), "-n", "4", "--out", "four.png")


def test_samples_from_the_mixture_of_codes_are_others_than_those_of_the_prior(coder: Path) -> None:
    prior, mixture = (api.draw(coder, 40, prior=name, denoised=True) for name in ("normal", "mixture"))
    assert mixture.length is not None and not torch.equal(prior.x.nan_to_num(), mixture.x.nan_to_num())
    again = api.draw(coder, 40, prior="mixture", denoised=True)
    assert torch.equal(again.x.nan_to_num(), mixture.x.nan_to_num())


def test_a_walk_between_series_ends_where_they_end(coder: Path) -> None:
    walk = torch.from_numpy(noiseforge.interpolate(coder, 0, 1, 5, out="walk.csv"))
    ends = walk.flatten(2).ne(0).any(2).sum(1)
    assert len(read("walk.csv")) == int(ends.sum()) < walk.shape[0] * walk.shape[1]


def test_what_a_report_shows_of_codes_leaves_gaps_and_ends_out(coder: Path) -> None:
    run = Run.open(coder)
    model, data = run.load_model("cpu"), load_data(**run.recipe.data.model_dump())
    errors = {figure.metric: figure.value for figure in coding_figures(model, data, seed=0, samples=2)}
    assert 0 < errors["reconstruction_error"] < 1, "not NaN, with gaps"
    pictures = coding_pictures(model, data, seed=0)
    assert pictures.length is not None
    assert "Test examples dotted" in coding_sections(pictures, data.spec)[0]


def test_looks_at_series_end_where_they_end(generator: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, lengths = Run.open(generator), []
    data, model = load_data(**run.recipe.data.model_dump()), run.load_model("cpu")
    picture = Image.new("RGB", (1, 1))
    monkeypatch.setattr(monitor, "show", lambda x, spec, length: lengths.append(length) or picture)
    model.critique = lambda x, y, length: lengths.append(length) or torch.zeros(len(x))
    (Path("look") / "samples").mkdir(parents=True)
    monitor.Monitor(model, data, Path("look"), seed=0).look(1)
    assert len(lengths) == 4, "a picture; real ones, samples and held-out ones"
    assert all(int(length.min()) < data.spec.shape[0] for length in lengths)


def test_classes_are_named_and_written(classifier: Path, table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said(capsys, "classify", classifier, table, "--out", "labels.csv", "--json", "labels.json")
    told = json.loads(Path("labels.json").read_text())
    rows = read("labels.csv")
    assert len(rows) == 80 and [row["class"] for row in rows] == told["labels"]
    assert [row["truth"] for row in rows] == ["slow", "fast"] * 40
    right = np.mean([row["class"] == row["truth"] for row in rows])
    accuracy = next(figure for figure in told["figures"] if figure["metric"] == "accuracy")
    assert accuracy["value"] == pytest.approx(right) and right > 0.9
    assert "labels.csv exists" in refused(capsys, "classify", classifier, table, "--out", "labels.csv")


def test_a_noise_curve_of_two_classifiers(classifier: Path, table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ("--noise-curve", "--levels", "20,-20", "--out", "curve.png", "--json", "curve.json")
    said(capsys, "classify", classifier, table, *asked)
    (points,) = json.loads(Path("curve.json").read_text()).values()
    assert [point["corruption"] for point in points] == ["", "snr:20", "snr:-20"]
    assert points[0]["accuracy"] > points[2]["accuracy"] and points[2]["low"] < points[2]["high"]
    assert Image.open("curve.png").size[0] > 300
    assert "--levels expects numbers" in refused(capsys, "classify", classifier, "--noise-curve", "--levels", "loud")


def test_a_classifier_is_evaluated_and_diagnosed(classifier: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "noiseforge classify" in said(capsys, "evaluate", classifier)
    page = (classifier / "report" / "index.html").read_text()
    assert all(part in page for part in ("Under noise", "How far back it listens", "Rows: the true class"))
    assert "healthy" in said(capsys, "diagnose", classifier)
    assert "unknown metric of a classifier 'fid'" in refused(capsys, "evaluate", classifier, "--metrics", "fid")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("sample", "CLASSIFIER", "--out", "x.csv"), "makes no samples"),
        (("classify", "GENERATOR"), "is of no classifier"),
        (("classify", "CLASSIFIER", "GENERATOR", "--noise-curve"), "comes beside by --against"),
        (("sample", "GENERATOR", "--out", "x.wav"), "sequences cannot be saved as"),
        (("sample", "GENERATOR", "--speaker", "a", "--out", "x.csv"), "speaker: for models of sound"),
        (("train", "image/mnist", "--data", "sines"), "take a recipe of sequence/"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(
    words: tuple[str, ...], told: str, generator: Path, classifier: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    known = {"CLASSIFIER": classifier, "GENERATOR": generator}
    assert told in refused(capsys, *(known.get(word, word) for word in words))


def test_the_weights_that_are_saved_have_settled(generator: Path, coder: Path) -> None:
    for run in (generator, coder):
        model: Any = Run.open(run).load_model()
        assert model.balance.missing.abs().min() > 0 and model.balance.length.abs().max() > 0


def test_a_training_says_what_is_wrong_with_its_data_and_what_it_has_no_use_for(
    table: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    rows = table.read_text().splitlines()
    Path("mixed.csv").write_text("\n".join([rows[0], rows[2], rows[1], *rows[3:]]))
    said(capsys, "train", "sequence/digits-rows", "--data", "mixed.csv", "--dry-run")
    assert caplog.messages == [
        "mixed.csv: rows that were not in the order of time, sorted: 1",
        "mixed.csv: scan=rows reads pictures, and these are series already: taken as they are",
    ]


def test_a_long_series_is_learned_in_pieces(capsys: pytest.CaptureFixture[str]) -> None:
    steps = torch.arange(3000.0)
    x = torch.stack([(steps / (4 + 4 * (i % 2))).sin() for i in range(8)])[:, :, None]
    np.savez("long.npz", x=x.numpy(), y=np.arange(8) % 2)
    settings = ["data.layout=ntc", "model.bidirectional=false", "model.truncate=100"]
    settings += ["train.images=16", "train.batch=4", "train.sample_every=16"]
    said(capsys, "train", "sequence/digits-rows", "--data", "long.npz", "--out", "run", *settings)
    assert Run.open(Path("run")).records()[-1]["event"] == "health"
