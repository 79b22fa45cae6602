"""Convolutions that halve a map, or double it, by a stride of 2, and the ways from a vector to a map and back."""

from torch import Tensor, nn
from torch.nn.functional import conv_transpose2d


class Halving(nn.Conv2d):
    """A convolution from a side of `fine` to half of it, rounded up: (N, inputs, fine, fine) -> (N, outputs, ...)."""

    def __init__(self, inputs: int, outputs: int, *, fine: int, bias: bool = True) -> None:
        super().__init__(inputs, outputs, _kernel(fine), stride=2, padding=1, bias=bias)


class Doubling(nn.ConvTranspose2d):
    """A transposed convolution to a side of `fine`, from half of it rounded up.

    It adds its bias in a step of its own: CPUs take up to nine times as long over the fused form (10.9 ms instead of
    1.2 for 256 to 128 channels in bf16).
    """

    def __init__(self, inputs: int, outputs: int, *, fine: int, bias: bool = True) -> None:
        super().__init__(inputs, outputs, _kernel(fine), stride=2, padding=1, bias=bias)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """(N, inputs, coarse, coarse) -> (N, outputs, fine, fine)."""
        y = conv_transpose2d(x, self.weight, None, stride=2, padding=1)
        return y if self.bias is None else y + self.bias.to(y.dtype)[:, None, None]


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


def _kernel(fine: int) -> int:
    # With stride 2 and padding 1, 4 halves an even side exactly, 3 an odd one rounded up; and back.
    return 4 if fine % 2 == 0 else 3
