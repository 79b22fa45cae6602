"""Residual players without normalisation, each other's mirror image. Huang et al. 2024 (R3GAN), config E.

Every block adds to a trunk that no activation touches. Its last convolution starts at 0, so that a fresh
network is its resampling alone. Images are not bounded: no tanh.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d
from torch.nn.utils.parametrizations import spectral_norm

from noiseforge.errors import UserError
from noiseforge.networks.blocks import (
    GAINS,
    SLOPE,
    Head,
    LabelledLatent,
    initialise,
    logit_head,
    normal,
    scaled,
)
from noiseforge.networks.image import resolutions, widths

EXPANSION = 2
"""Channels inside a block, for each one of the trunk."""


class ResidualBlock(nn.Module):
    """x + f(x): f is 1 x 1 to twice the channels, 3 x 3 in groups, 1 x 1 back, leaky rectifiers between."""

    def __init__(self, width: int, group_width: int) -> None:
        super().__init__()
        inner = EXPANSION * width
        if inner % group_width:
            raise UserError(
                f"group_width={group_width} must divide the {inner} channels in a block of width {width}: "
                "change width, max_width or group_width"
            )
        self.expand = nn.Conv2d(width, inner, 1)
        self.mix = nn.Conv2d(inner, inner, 3, padding=1, groups=inner // group_width)
        self.project = nn.Conv2d(inner, width, 1, bias=False)
        self.activation = nn.LeakyReLU(SLOPE)

    def forward(self, x: Tensor) -> Tensor:
        inner = self.activation(self.mix(self.activation(self.expand(x))))
        return x + self.project(inner)


class Resampling(nn.Module):
    """A 1 x 1 convolution where the channels change, and [1, 2, 1] / 4 along both axes of each channel."""

    filter: Tensor

    def __init__(self, inputs: int, outputs: int, channels: int) -> None:
        super().__init__()
        self.change = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1, bias=False)
        line = torch.tensor([0.25, 0.5, 0.25])
        self.register_buffer("filter", torch.outer(line, line).repeat(channels, 1, 1, 1), persistent=False)


class Halve(Resampling):
    """Filters, keeps every second value (half a side, rounded up), then changes the channels."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, inputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.change(conv2d(x, self.filter, stride=2, padding=1, groups=len(self.filter)))


class Double(Resampling):
    """The transpose of `Halve`, times 4 to keep the mean: changes the channels, then goes up to `side`."""

    def __init__(self, inputs: int, outputs: int, side: int) -> None:
        super().__init__(inputs, outputs, outputs)
        self.extra = 1 - side % 2

    def forward(self, x: Tensor) -> Tensor:
        groups = len(self.filter)
        return conv_transpose2d(
            self.change(x), 4 * self.filter, stride=2, padding=1, output_padding=self.extra, groups=groups
        )


class ResidualGenerator(nn.Module):
    """A latent (N, latent), and a label (N,) if there are classes, to unbounded images (N, C, H, W).

    The coarsest map is a learned one, each channel scaled by a linear function of the latent.

    Args:
        shape: (C, H, W) with H = W.
        latent: dimensions of the latent.
        width: channels at the image's resolution; they double with each halving.
        max_width: channels at most.
        blocks: residual blocks at each resolution.
        group_width: channels in each group of the 3 x 3 convolutions.
        classes: labels, 0 for none.

    Raises:
        UserError: the channels cannot be cut into groups of `group_width`.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        latent: int,
        *,
        width: int = 32,
        max_width: int = 512,
        blocks: int = 1,
        group_width: int = 16,
        classes: int = 0,
    ) -> None:
        super().__init__()
        sides = resolutions(shape[1])
        channels = widths(width, max_width, len(sides))
        self.labelled = LabelledLatent(latent, classes)
        self.scale = nn.Linear(self.labelled.width, channels[-1], bias=False)
        self.map = nn.Parameter(torch.empty(channels[-1], sides[-1], sides[-1]))
        layers: list[nn.Module] = []
        for level in reversed(range(len(sides))):
            if level < len(sides) - 1:
                layers.append(Double(channels[level + 1], channels[level], sides[level]))
            layers += [ResidualBlock(channels[level], group_width) for _ in range(blocks)]
        self.hidden = nn.Sequential(*layers)
        self.output = nn.Conv2d(channels[0], shape[0], 1)

    def initialise(self, rng: torch.Generator) -> None:
        """Draws all weights, by which every block starts as the identity."""
        initialise(self, rng, scaled(1.0))
        normal(self.map, 1.0, rng)
        _initialise_blocks(self, rng, as_identity=True)

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        x = self.map * self.scale(self.labelled(z, y))[:, :, None, None]
        return self.output(self.hidden(x)).to(z.dtype)


class ResidualDiscriminator(nn.Module):
    """Images or packs of them (N, packing·C, H, W), and a label (N,) if there are classes, to logits (N,).

    The paper's product of a label's embedding with a linear map of the features is here the projection head,
    which is the same family of functions with fewer weights.

    Args:
        shape: (C, H, W) of one image, with H = W.
        width: channels at the image's resolution; they double with each halving.
        max_width: channels at most.
        blocks: residual blocks at each resolution.
        group_width: channels in each group of the 3 x 3 convolutions.
        classes: labels, 0 for none.
        norm: none, or spectral, under which no block starts as the identity.
        packing: images that are judged together.
        head: makes the module that the features end in, from their number; by default a logit's.

    Raises:
        UserError: the channels cannot be cut into groups of `group_width`.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        *,
        width: int = 32,
        max_width: int = 512,
        blocks: int = 1,
        group_width: int = 16,
        classes: int = 0,
        norm: str = "none",
        packing: int = 1,
        head: Head | None = None,
    ) -> None:
        super().__init__()
        sides = resolutions(shape[1])
        channels = widths(width, max_width, len(sides))
        layers: list[nn.Module] = [nn.Conv2d(packing * shape[0], channels[0], 1)]
        for level in range(len(sides)):
            if level:
                layers.append(Halve(channels[level - 1], channels[level]))
            layers += [ResidualBlock(channels[level], group_width) for _ in range(blocks)]
        last = channels[-1]
        layers += [nn.Conv2d(last, last, sides[-1], groups=last, bias=False), nn.Flatten()]
        self.hidden = nn.Sequential(*layers)
        self.head = (head or logit_head(classes, norm))(last)
        self.spectral = norm == "spectral"
        if self.spectral:
            for layer in [m for m in self.hidden.modules() if isinstance(m, nn.Conv2d)]:
                spectral_norm(layer)

    def initialise(self, rng: torch.Generator) -> None:
        """Draws all weights, by which every block starts as the identity."""
        initialise(self, rng, scaled(1.0))
        # A weight of 0 has no largest singular value to be divided by.
        _initialise_blocks(self, rng, as_identity=not self.spectral)

    def features(self, x: Tensor) -> Tensor:
        """One number for each channel of the coarsest map: (N, F)."""
        return self.hidden(x)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self.head(self.features(x), y)


def _initialise_blocks(network: nn.Module, rng: torch.Generator, *, as_identity: bool) -> None:
    blocks = [m for m in network.modules() if isinstance(m, ResidualBlock)]
    # Fixup (Zhang et al. 2019) for branches of three layers: a step on all blocks moves the trunk by O(1).
    gain = GAINS["leaky"] * len(blocks) ** -0.25
    for block in blocks:
        initialise(block, rng, scaled(gain))
        if as_identity:
            nn.init.zeros_(block.project.weight)
