"""Convolutional players for square images of any size and channels. Radford et al. 2016 (DCGAN)."""

import math
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn

from noiseforge.networks.blocks import (
    ACTIVATIONS,
    GAINS,
    Head,
    LabelledLatent,
    MinibatchStd,
    activated,
    initialise,
    logit_head,
    pieces,
    scaled,
)
from noiseforge.networks.strided import Doubling, Flat, Halving, Map

COARSEST = 4
"""A resolution above this is halved once more."""


def resolutions(size: int) -> list[int]:
    """The sides of the feature maps from the image down, each half of the one before, rounded up.

    >>> resolutions(64), resolutions(28)
    ([64, 32, 16, 8, 4], [28, 14, 7, 4])
    """
    sides = [size]
    while sides[-1] > COARSEST:
        sides.append((sides[-1] + 1) // 2)
    return sides


def widths(width: int, max_width: int, count: int) -> list[int]:
    """Channels from the finest map down: `width`, then twice as many at each halving, up to `max_width`.

    >>> widths(32, 100, 4)
    [32, 64, 100, 100]
    """
    return [min(width * 2**level, max_width) for level in range(count)]


class DCGANGenerator(nn.Module):
    """A latent (N, latent), and a label (N,) if there are classes, to images (N, C, H, W) in [-1, 1] or unbounded.

    A linear layer makes the coarsest map, and transposed convolutions double it.

    Args:
        shape: (C, H, W) with H = W.
        latent: dimensions of the latent.
        width: channels at half the image's resolution; they double with each further halving.
        max_width: channels at most.
        classes: labels, 0 for none.
        norm: none or batch.
        activation: relu, leaky or tanh.
        bounded: ends in tanh.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        latent: int,
        *,
        width: int = 32,
        max_width: int = 512,
        classes: int = 0,
        norm: str = "none",
        activation: str = "leaky",
        bounded: bool = True,
    ) -> None:
        super().__init__()
        sides = resolutions(shape[1])
        channels = widths(width, max_width, len(sides) - 1)
        self.norm, self.gain = norm, GAINS[activation]
        self.labelled = LabelledLatent(latent, classes)
        coarse = (channels[-1], sides[-1], sides[-1])
        batch_norm = [nn.BatchNorm2d(coarse[0])] if norm == "batch" else []
        layers: list[nn.Module] = [
            nn.Linear(self.labelled.width, math.prod(coarse)),
            Map(coarse[0], coarse[1]),
            *batch_norm,
            ACTIVATIONS[activation](),
        ]
        for level in reversed(range(1, len(channels))):
            up = Doubling(channels[level], channels[level - 1], fine=sides[level], bias=norm != "batch")
            layers += activated(up, norm=norm, activation=activation)
        self.hidden = nn.Sequential(*layers)
        self.output = Doubling(channels[0], shape[0], fine=sides[0])
        self.bound = nn.Tanh() if bounded else nn.Identity()

    def initialise(self, rng: torch.Generator) -> None:
        """Draws all weights: N(0, 0.02²) with batch norm, as the paper; else a signal keeps its scale."""
        initialise(self, rng, _std(self.norm, self.gain))
        initialise(self.output, rng, _std(self.norm, 1.0))

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        x = self.output(self.hidden(self.labelled(z, y)))
        return self.bound(x.to(z.dtype))


class DCGANDiscriminator(nn.Module):
    """Images or packs of them (N, packing·C, H, W), and a label (N,) if there are classes, to logits (N,).

    Strided convolutions halve the map, the mirror image of `DCGANGenerator`.

    Args:
        shape: (C, H, W) of one image, with H = W.
        width: channels at half the image's resolution; they double with each further halving.
        max_width: channels at most.
        classes: labels, 0 for none.
        norm: none, batch (not on the first layer) or spectral.
        activation: relu, leaky, tanh or maxout of 5 pieces.
        minibatch_std: what the last convolution sees has `blocks.minibatch_std` appended.
        packing: images that are judged together.
        head: makes the module that the features end in, from their number; by default a logit's.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        *,
        width: int = 32,
        max_width: int = 512,
        classes: int = 0,
        norm: str = "none",
        activation: str = "leaky",
        minibatch_std: bool = False,
        packing: int = 1,
        head: Head | None = None,
    ) -> None:
        super().__init__()
        sides = resolutions(shape[1])
        channels = [packing * shape[0], *widths(width, max_width, len(sides) - 1)]
        self.norm, self.gain = norm, GAINS[activation]
        layers: list[nn.Module] = []
        for level, (inputs, outputs) in enumerate(pairwise(channels)):
            last = minibatch_std and level == len(channels) - 2
            layers += [MinibatchStd()] if last else []
            own = "none" if norm == "batch" and level == 0 else norm
            wide = outputs * pieces(activation)
            down = Halving(inputs + last, wide, fine=sides[level], bias=own != "batch")
            layers += activated(down, norm=own, activation=activation)
        self.hidden = nn.Sequential(*layers, Flat())
        self.head = (head or logit_head(classes, norm))(channels[-1] * sides[-1] ** 2)

    def initialise(self, rng: torch.Generator) -> None:
        """Draws all weights: N(0, 0.02²) with batch norm, as the paper; else a signal keeps its scale."""
        initialise(self.hidden, rng, _std(self.norm, self.gain))
        initialise(self.head, rng, _std(self.norm, 1.0))

    def features(self, x: Tensor) -> Tensor:
        """The coarsest map, flattened: (N, F)."""
        return self.hidden(x)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self.head(self.features(x), y)


def _std(norm: str, gain: float) -> Callable[[float], float]:
    return (lambda fan_in: 0.02) if norm == "batch" else scaled(gain)
