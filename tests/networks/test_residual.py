import pytest
import torch

from noiseforge.networks.residual import Double, Halve, ResidualBlock, ResidualDiscriminator


@pytest.mark.parametrize(("side", "half"), [(8, 4), (7, 4)])
def test_resampling_is_exact_in_size_and_keeps_a_ramp_inside(side: int, half: int) -> None:
    ramp = torch.arange(float(side)).expand(1, 3, side, side)
    down = Halve(3, 3)(ramp)
    assert down.shape == (1, 3, half, half)
    torch.testing.assert_close(down[:, :, 1:-1, 1:-1], ramp[:, :, 2:-2:2, 2:-2:2])
    up = Double(3, 3, side)(ramp[:, :, ::2, ::2])
    assert up.shape == ramp.shape
    torch.testing.assert_close(up[:, :, :-1, :-1], ramp[:, :, :-1, :-1])


@pytest.mark.parametrize("side", [7, 8])
def test_doubling_is_the_transpose_of_halving(side: int) -> None:
    rng = torch.Generator().manual_seed(0)
    fine, coarse = (torch.randn(1, 2, n, n, generator=rng) for n in (side, 4))
    torch.testing.assert_close(
        4 * (Halve(2, 2)(fine) * coarse).sum(),
        (fine * Double(2, 2, side)(coarse)).sum(),
        rtol=1e-4,
        atol=1e-5,
    )


@pytest.mark.parametrize("blocks", [1, 4])
def test_deeper_networks_start_with_smaller_branches(blocks: int) -> None:
    discriminator = ResidualDiscriminator((1, 8, 8), width=64, blocks=blocks)
    discriminator.initialise(torch.Generator().manual_seed(0))
    block = next(m for m in discriminator.modules() if isinstance(m, ResidualBlock))
    expected = (2 / 1.04 / 64) ** 0.5 * (2 * blocks) ** -0.25
    assert block.expand.weight.std().item() == pytest.approx(expected, rel=0.02)


def test_every_block_starts_as_the_identity_and_learns() -> None:
    discriminator = ResidualDiscriminator((1, 8, 8), width=8, group_width=8)
    discriminator.initialise(torch.Generator().manual_seed(0))
    block = next(m for m in discriminator.modules() if isinstance(m, ResidualBlock))
    x = torch.randn(2, 8, 8, 8, generator=torch.Generator().manual_seed(1))
    assert torch.equal(block(x), x)
    block(x).square().sum().backward()
    assert block.project.weight.grad.any()
