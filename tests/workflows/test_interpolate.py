"""The way between two latent vectors."""

import pytest
import torch

from noiseforge.errors import UserError
from noiseforge.workflows.interpolate import spherical


def test_points_lie_evenly_on_the_arc_between_both_ends() -> None:
    generator = torch.Generator().manual_seed(0)
    start, end = torch.nn.functional.normalize(torch.randn(2, 100, generator=generator, dtype=torch.float64))
    points = spherical(start, end, 7)
    torch.testing.assert_close(points[[0, -1]], torch.stack([start, end]))
    torch.testing.assert_close(points.norm(dim=1), torch.ones(7, dtype=torch.float64))
    angles = torch.arccos((points[1:] * points[:-1]).sum(1))
    torch.testing.assert_close(angles, (torch.arccos(start @ end) / 6).expand(6))


@pytest.mark.parametrize("factor", [1.0, 2.0, -1.0])
def test_parallel_ends_are_joined_by_a_straight_line(factor: float) -> None:
    start = torch.tensor([1.0, 2.0])
    torch.testing.assert_close(spherical(start, factor * start, 3)[1], (1 + factor) / 2 * start)


def test_fewer_than_two_steps_are_refused() -> None:
    with pytest.raises(UserError, match="steps must be >= 2, got 1"):
        spherical(torch.ones(2), torch.ones(2), 1)
