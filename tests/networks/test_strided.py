"""The convolutions that halve and double: their gradients by a product are those of torch."""

import pytest
import torch
from torch.nn.functional import conv2d, conv_transpose2d

from noiseforge.networks.strided import NARROW, ByProduct, Doubling, Flat, Halving, Map


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("fine", [8, 7])
@pytest.mark.parametrize("channels_of_fine", [2, NARROW + 1])
def test_gradients_by_product_are_torchs_own(transposed: bool, fine: int, channels_of_fine: int) -> None:
    kernel, coarse = 4 - fine % 2, (fine + 1) // 2
    rng = torch.Generator().manual_seed(0)
    side, channels = (coarse, 3) if transposed else (fine, channels_of_fine)
    x = torch.randn(2, channels, side, side, generator=rng, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(3, channels_of_fine, kernel, kernel, generator=rng, dtype=torch.float64, requires_grad=True)
    plain = (conv_transpose2d if transposed else conv2d)(x, weight, None, stride=2, padding=1)
    ours = ByProduct.apply(x, weight, transposed)
    torch.testing.assert_close(ours, plain)
    slope = torch.randn(plain.shape, generator=rng, dtype=torch.float64)
    for mine, torchs in zip(
        torch.autograd.grad(ours, (x, weight), slope), torch.autograd.grad(plain, (x, weight), slope), strict=True
    ):
        torch.testing.assert_close(mine, torchs)
    assert torch.autograd.gradgradcheck(lambda a, b: ByProduct.apply(a, b, transposed), (x, weight))


@pytest.mark.parametrize("layer", [Halving(16, 24, fine=14), Doubling(24, 16, fine=7), Doubling(24, 1, fine=7)])
def test_in_bf16_the_layer_is_what_it_is_in_fp32_to_rounding(layer: torch.nn.Module) -> None:
    rng = torch.Generator().manual_seed(0)
    side = 14 if isinstance(layer, Halving) else 4
    with torch.no_grad():
        layer.bias.copy_(torch.randn(layer.bias.shape, generator=rng))
    x = torch.randn(8, layer.in_channels, side, side, generator=rng).contiguous(memory_format=torch.channels_last)
    gradients = []
    for enabled in (False, True):
        layer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            y = layer(x)
        assert y.dtype == (torch.bfloat16 if enabled else torch.float32)
        y.float().square().mean().backward()
        gradients.append([y.float(), layer.weight.grad.clone(), layer.bias.grad.clone()])
    for exact, rounded in zip(*gradients, strict=True):
        assert (exact - rounded).norm() < 0.01 * exact.norm()


def test_a_map_becomes_a_vector_and_back_without_a_copy() -> None:
    x = torch.randn(2, 3, 4, 4).contiguous(memory_format=torch.channels_last)
    vector = Flat()(x)
    assert vector.shape == (2, 48)
    assert vector.data_ptr() == x.data_ptr()
    assert torch.equal(Map(3, 4)(vector), x)
    assert Map(3, 4)(vector).is_contiguous(memory_format=torch.channels_last)
