"""Scaling knows the training part alone, and columns find their way back."""

from pathlib import Path

import numpy as np
import pytest
import torch

from noiseforge.data.columns import to_features, to_source
from noiseforge.data.series import Series
from noiseforge.data.source import load_data
from noiseforge.data.spec import Column, Spec

MEASURES = {
    "minmax": lambda known: (known.min(), known.max() - known.min()),
    "standard": lambda known: (known.mean(), known.std()),
    "robust": lambda known: (np.median(known), np.subtract(*np.quantile(known, (0.75, 0.25)))),
}


@pytest.mark.parametrize("scaling", MEASURES)
def test_every_column_is_scaled_by_the_known_values_of_the_training_part(tmp_path: Path, scaling: str) -> None:
    values = np.random.default_rng(0).standard_normal((100, 2)) * [1, 100]
    values[90:] += 1000  # the end, which is held out, must not count
    values[5:9, 1] = np.nan
    lines = [",".join("" if np.isnan(v) else repr(float(v)) for v in row) for row in values]
    (tmp_path / "a.csv").write_text("\n".join(["a,b", *lines]))
    data = load_data(tmp_path / "a.csv", window=5, scaling=scaling)  # type: ignore[arg-type]
    for place, column in enumerate(data.spec.columns):
        known = values[:90, place][~np.isnan(values[:90, place])]
        assert (column.offset, column.scale) == pytest.approx(MEASURES[scaling](known))
        assert column.missing == (place == 1)
    assert data.spec.value_range == ((0.0, 1.0) if scaling == "minmax" else None)
    assert isinstance(data.train, Series) and int(data.train.steps.isnan().sum()) == 4
    x = data.test.batch(torch.tensor([0])).x
    assert to_source(x, None, data.spec)["b"] == pytest.approx(values[90:95, 1][None], rel=1e-5)


def test_constant_and_empty_columns_are_told(tmp_path: Path) -> None:
    lines = [f"{row},0.3,,{'' if row < 90 else 1}" for row in range(100)]
    (tmp_path / "a.csv").write_text("\n".join(["a,same,none,late", *lines]))
    for scaling in MEASURES:
        data = load_data(tmp_path / "a.csv", window=5, scaling=scaling)  # type: ignore[arg-type]
        assert [(column.name, column.scale) for column in data.spec.columns][1] == ("same", 1.0)
        assert "columns of one value: 1: same" in data.problems
        assert "columns without a value in the training part, left out: 2: none, late" in data.problems
        assert float(data.train.batch(torch.tensor([0])).x[..., 1].abs().max()) < 1e-6


def test_few_distinct_values_are_levels(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("\n".join(["few,many", *(f"{row % 300 / 4},{row / 3}" for row in range(1200))]))
    few, many = load_data(tmp_path / "a.csv", window=5, split="all").spec.columns
    assert few.levels == tuple(np.arange(300) / 4) and many.levels == ()


COLUMNS = (
    Column(name="kind", kind="category", categories=("a", "b", "c")),
    Column(name="whole", kind="integer", offset=10, scale=5),
    Column(name="level", levels=(0.0, 1.0, 4.0), scale=2.0),
    Column(name="owner", kind="category", categories=("x", "y"), attribute=True),
    Column(name="lag", kind="lag", scale=3.0),
)
SPEC = Spec(source="s", modality="sequence", shape=(3, 8), columns=COLUMNS, fingerprint="")


def test_columns_go_round_trip() -> None:
    values = np.array([[0, 12, 4, 1, 0], [2, 7, 0, 1, 2.5], [np.nan, np.nan, 1, 1, 1]])
    x = to_features(values, COLUMNS)[None]
    assert x.shape == (1, 3, 8) and x[0, 2, :3].isnan().all()
    back = to_source(x, None, SPEC)
    for place, column in enumerate(COLUMNS):
        expected = values[:1, place] if column.attribute else values[None, :, place]
        np.testing.assert_allclose(back[column.name], expected, rtol=1e-6)


def test_what_a_model_makes_becomes_values_that_occur() -> None:
    x = torch.tensor([[0.2, 0.5, 0.4, 0.55, 1.2, 0.4, 0.6, -1.0], [0.9, 0.1, 0, -3.0, 1.3, 0.9, 0.1, 1.0]])
    x = torch.cat([x, torch.zeros(1, 8)])[None]
    back = to_source(x, torch.tensor([2]), SPEC)
    assert back["kind"][0, :2].tolist() == [1, 0] and np.isnan(back["kind"][0, 2])
    assert back["whole"][0, :2].tolist() == [13, -5]
    assert back["level"][0, :2].tolist() == [1, 4]  # 2.4 is nearer to 1, 2.6 to 4
    assert back["owner"].tolist() == [0] and back["lag"][0, :2].tolist() == [0, 3]
    x[..., 7] = -1  # time does not stand still
    assert to_source(x, None, SPEC)["lag"][0].tolist() == pytest.approx([0, 3e-6, 3e-6])
