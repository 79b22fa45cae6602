"""Convolutions that halve a map, or double it, by a stride of 2, and the ways from a vector to a map and back."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d, fold, pad

NARROW = 4
"""Channels of the finer map, at most, for which products are the faster way up: 0.5 ms where the library takes 1.7."""


class Halving(nn.Conv2d):
    """A convolution from a side of `fine` to half of it, rounded up: (N, inputs, fine, fine) -> (N, outputs, ...)."""

    def __init__(self, inputs: int, outputs: int, *, fine: int, bias: bool = True) -> None:
        super().__init__(inputs, outputs, _kernel(fine), stride=2, padding=1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        if not _by_product(x):
            return conv2d(x, self.weight, self.bias, stride=2, padding=1)
        return _with_bias(ByProduct.apply(*_lowered(x, self.weight), False), self.bias)


class Doubling(nn.ConvTranspose2d):
    """A transposed convolution to a side of `fine`, from half of it rounded up.

    It adds its bias in a step of its own: CPUs take up to nine times as long over the fused form (10.9 ms instead of
    1.2 for 256 to 128 channels in bf16).
    """

    def __init__(self, inputs: int, outputs: int, *, fine: int, bias: bool = True) -> None:
        super().__init__(inputs, outputs, _kernel(fine), stride=2, padding=1, bias=bias)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """(N, inputs, coarse, coarse) -> (N, outputs, fine, fine)."""
        if not _by_product(x):
            return _with_bias(conv_transpose2d(x, self.weight, None, stride=2, padding=1), self.bias)
        return _with_bias(ByProduct.apply(*_lowered(x, self.weight), True), self.bias)


class Flat(nn.Module):
    """A map to a vector, (N, C, H, W) -> (N, H·W·C): a view of a map that is channels-last, as is its gradient."""

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 2, 3, 1).flatten(1)


class Map(nn.Module):
    """The way back, (N, H·W·C) -> (N, C, H, W), channels-last."""

    def __init__(self, channels: int, side: int) -> None:
        super().__init__()
        self.channels, self.side = channels, side

    def forward(self, x: Tensor) -> Tensor:
        return x.view(len(x), self.side, self.side, self.channels).permute(0, 3, 1, 2)


class ByProduct(torch.autograd.Function):
    """Either convolution, the gradient of its weights taken as one matrix product, and so the way up to few channels.

    In bf16 on a CPU the library's own way to that gradient is no faster than in fp32, 7.4 ms where the product takes
    2.6 for 64 to 128 channels at 14 x 14, and was half of a DCGAN's training. All can be differentiated twice.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, transposed: bool) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.transposed = transposed
        return _up(x, weight) if transposed else conv2d(x, weight, None, stride=2, padding=1)

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        (slope,), (x, weight) = slopes, ctx.saved_tensors
        to_input = to_weight = None
        if ctx.needs_input_grad[0]:
            to_input = conv2d(slope, weight, None, stride=2, padding=1) if ctx.transposed else _up(slope, weight)
        if ctx.needs_input_grad[1]:
            fine, coarse = (slope, x) if ctx.transposed else (x, slope)
            to_weight = _product(fine, coarse, weight.shape[2])
        return to_input, to_weight, None


def _up(coarse: Tensor, weight: Tensor) -> Tensor:
    """The transposed convolution; to few channels, the patch of each place by a product, then their overlapping sum."""
    channels, kernel, side = weight.shape[1], weight.shape[2], coarse.shape[2]
    if channels > NARROW:
        return conv_transpose2d(coarse, weight, None, stride=2, padding=1)
    patches = coarse.permute(0, 2, 3, 1).flatten(1, 2) @ weight.flatten(1)
    fine = 2 * (side - 1) - 2 + kernel
    return fold(patches.transpose(1, 2), (fine, fine), kernel, padding=1, stride=2)


def _product(fine: Tensor, coarse: Tensor, kernel: int) -> Tensor:
    """The sum over images and places of coarse times what the kernel sees of fine: (coarse, fine, kernel, kernel)."""
    framed = pad(fine, (1, 1, 1, 1)).permute(0, 2, 3, 1).contiguous()
    seen = framed.unfold(1, kernel, 2).unfold(2, kernel, 2).permute(0, 1, 2, 4, 5, 3)
    channels, places = coarse.shape[1], seen.shape[:3].numel()
    product = coarse.permute(0, 2, 3, 1).reshape(places, channels).t() @ seen.reshape(places, -1)
    return product.view(channels, kernel, kernel, fine.shape[1]).permute(0, 3, 1, 2)


def _by_product(x: Tensor) -> bool:
    """Whether this is computed in bf16 on a CPU."""
    lowered = x.device.type == "cpu" and torch.is_autocast_enabled("cpu")
    return lowered and torch.get_autocast_dtype("cpu") == torch.bfloat16


def _lowered(x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    return x.to(torch.bfloat16), weight.to(torch.bfloat16)


def _with_bias(y: Tensor, bias: Tensor | None) -> Tensor:
    return y if bias is None else y + bias.to(y.dtype)[:, None, None]


def _kernel(fine: int) -> int:
    # With stride 2 and padding 1, 4 halves an even side exactly, 3 an odd one rounded up; and back.
    return 4 if fine % 2 == 0 else 3
