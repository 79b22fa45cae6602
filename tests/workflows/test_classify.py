"""`classify` and the noise curve, of a run of the embedded digits."""

from pathlib import Path

import numpy as np
import pytest
import torch

from noiseforge.data import Data, load_data
from noiseforge.errors import UserError
from noiseforge.recipes.load import read_recipe
from noiseforge.training.loop import train
from noiseforge.training.run import Run
from noiseforge.workflows.classify import classify, draw_noise_curve, noise_curve

RECIPE = "sequence/digits-rows"


@pytest.fixture(scope="module")
def data() -> Data:
    return load_data("digits", scan="rows")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, data: Data) -> Run:
    recipe = read_recipe(RECIPE, ["train.images=12000", "model.optimiser.lr={start: 0.01, end: 0, images: 12000}"])
    return train(recipe, data, tmp_path_factory.mktemp("runs") / "digits", device="cpu")


def test_a_run_learns_and_its_health_is_on_record(run: Run) -> None:
    looks = [record for record in run.records() if record["event"] == "health"]
    assert looks[-1]["accuracy"] > 0.9 and len(looks[-1]["gradient_by_distance"]) == 4
    assert {"classifier/cross_entropy", "classifier/accuracy"} <= set(run.records()[1])


def test_classes_are_named_with_figures(run: Run, data: Data) -> None:
    made = classify(run, device="cpu")
    assert made.classes == data.spec.classes and made.probabilities.shape == (179, 10)
    np.testing.assert_allclose(made.probabilities.sum(1), 1, atol=1e-5)
    figures = {figure.metric: figure.value for figure in made.figures}
    assert figures["accuracy"] == np.mean(made.labels == made.truth) > 0.9
    assert np.array_equal(made.labels, np.array(made.classes)[made.probabilities.argmax(1)])
    again = classify(run.path, data, device="cpu")
    assert np.array_equal(again.probabilities, made.probabilities)


def test_files_and_arrays_are_in_source_units(run: Run, data: Data, tmp_path: Path) -> None:
    batch = data.test.batch(torch.arange(20))
    columns = data.spec.columns
    values = batch.x.numpy() * [column.scale for column in columns] + [column.offset for column in columns]
    np.savez(tmp_path / "some.npz", samples=values, labels=batch.y.numpy())
    wanted = classify(run, device="cpu").probabilities[:20]
    made = classify(run, tmp_path / "some.npz", device="cpu")
    np.testing.assert_allclose(made.probabilities, wanted, atol=1e-4)
    assert made.figures and made.truth is not None
    bare = classify(run, values, device="cpu")
    np.testing.assert_allclose(bare.probabilities, wanted, atol=1e-4)
    assert bare.truth is None and bare.figures == ()


def test_the_same_pictures_in_another_scaling_give_the_same(run: Run) -> None:
    other = load_data("digits", scan="rows", scaling="standard")
    np.testing.assert_allclose(
        classify(run, other, device="cpu").probabilities, classify(run, device="cpu").probabilities, atol=1e-4
    )


def test_a_noise_curve_falls_and_begins_with_clean_data(run: Run) -> None:
    points = noise_curve(run, levels=(20, 0, -10), seed=1, device="cpu")
    assert [point.corruption for point in points] == ["", "snr:20", "snr:0", "snr:-10"]
    assert points[0].accuracy == classify(run, device="cpu").figures[0].value
    assert points[0].accuracy > points[2].accuracy > points[3].accuracy
    assert all(point.low <= point.accuracy <= point.high and point.n == 179 for point in points)
    assert points == noise_curve(run, levels=(20, 0, -10), seed=1, device="cpu")
    assert draw_noise_curve({"clean": points}).size == (768, 480)


def test_what_does_not_fit_is_told(run: Run, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="unknown corruption"):
        noise_curve(run, corruption="haze", device="cpu")
    with pytest.raises(UserError, match="columns"):
        classify(run, np.zeros((3, 8, 5)), device="cpu")
    with pytest.raises(UserError, match="other columns"):
        classify(run, load_data("digits", scan="pixels"), device="cpu")
