"""Precision, recall, density and coverage, on the cases where other implementations err."""

import logging

import pytest
import torch

from noiseforge.evaluation import neighbours
from noiseforge.evaluation.coverage import neighbourhoods, precision_recall_density_coverage
from noiseforge.evaluation.neighbours import nearest, pairwise_distance


@pytest.fixture
def rng() -> torch.Generator:
    return torch.Generator().manual_seed(2)


def test_repeated_points_lie_in_each_others_balls(rng: torch.Generator, caplog: pytest.LogCaptureFixture) -> None:
    points = torch.randn(400, 16, generator=rng).double() * 100 + 1000
    with caplog.at_level(logging.WARNING):
        found = precision_recall_density_coverage(points.repeat(5, 1), points.repeat(2, 1), k=4)
    assert (found["precision"], found["coverage"]) == (1.0, 1.0)
    assert "100.0 % of the real examples are repeated" in caplog.text


def test_a_collapsed_generator_is_betrayed_by_recall_and_coverage(rng: torch.Generator) -> None:
    real = torch.randn(2000, 16, generator=rng)
    fake = real[:10].repeat_interleave(200, 0) + 1e-3 * torch.randn(2000, 16, generator=rng)
    found = precision_recall_density_coverage(real, fake)
    assert found["precision"] == 1.0
    assert found["recall"] < 0.02
    assert found["coverage"] < 0.05


def test_tiles_give_what_whole_matrices_give(rng: torch.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    real, fake = torch.randn(2, 90, 5, generator=rng).double()
    monkeypatch.setattr(neighbours, "TILE", 700)
    found = neighbourhoods(real, fake, k=3)
    distance = torch.cdist(real, fake)
    real_radii, fake_radii = (torch.cdist(x, x).kthvalue(4).values for x in (real, fake))
    inside = distance <= real_radii[:, None]
    assert torch.equal(found.density, inside.sum(0).double() / 3)
    assert torch.equal(found.precision, inside.any(0).double())
    assert torch.equal(found.coverage, inside.any(1).double())
    assert torch.equal(found.recall, (distance <= fake_radii).any(1).double())
    closest, index = nearest(real, fake)
    assert torch.equal(index, distance.argmin(1))
    assert torch.allclose(closest, distance.min(1).values)
    assert pairwise_distance(real) == pytest.approx(float(torch.pdist(real).mean()), rel=1e-9)


def test_fewer_points_than_neighbours() -> None:
    x = torch.tensor([[0.0], [1.0], [2.0]])
    assert precision_recall_density_coverage(x, x, k=5)["precision"] == 1.0
