"""Fully connected players, for examples of any fixed shape. Goodfellow et al. 2014."""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

from noiseforge.networks.blocks import (
    GAINS,
    Head,
    LabelledLatent,
    MinibatchStd,
    activated,
    initialise,
    logit_head,
    normal,
    pieces,
    scaled,
)

PROJECTIONS = 64
"""Of `FourierFeatures`."""


class MLPGenerator(nn.Module):
    """A latent (N, latent), and a label (N,) if there are classes, to (N, *shape).

    Args:
        shape: of one example.
        latent: dimensions of the latent.
        hidden: widths from the latent to the output.
        classes: labels, 0 for none.
        norm: none or batch.
        activation: relu, leaky or tanh.
        bounded: ends in tanh, for data in [-1, 1].
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        latent: int,
        *,
        hidden: tuple[int, ...] = (128, 256),
        classes: int = 0,
        norm: str = "none",
        activation: str = "leaky",
        bounded: bool = True,
    ) -> None:
        super().__init__()
        self.shape = shape
        self.gain = GAINS[activation]
        self.labelled = LabelledLatent(latent, classes)
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise((self.labelled.width, *hidden)):
            layers += activated(nn.Linear(inputs, outputs), norm=norm, activation=activation)
        self.hidden = nn.Sequential(*layers)
        self.output = nn.Linear((self.labelled.width, *hidden)[-1], math.prod(shape))
        self.bound = nn.Tanh() if bounded else nn.Identity()

    def initialise(self, rng: torch.Generator) -> None:
        """Draws all weights, which keep the scale of a signal from layer to layer."""
        initialise(self, rng, scaled(self.gain))
        initialise(self.output, rng, scaled(1.0))

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        x = self.output(self.hidden(self.labelled(z, y)))
        return self.bound(x.to(z.dtype)).unflatten(1, self.shape)


class FourierFeatures(nn.Module):
    """Appends sin(2πBx) and cos(2πBx): (N, F) -> (N, F + 2·PROJECTIONS), the rows of B drawn once from N(0, scale²).

    Without them a network learns fine detail last. Tancik et al. 2020, eq. 5.
    """

    frequencies: Tensor

    def __init__(self, inputs: int, scale: float) -> None:
        super().__init__()
        self.scale = scale
        self.register_buffer("frequencies", torch.zeros(inputs, PROJECTIONS))

    def forward(self, x: Tensor) -> Tensor:
        # A phase of many turns has nothing left of its angle in the 8 bits of bfloat16.
        with torch.autocast(x.device.type, enabled=False):
            phases = 2 * math.pi * (x.to(self.frequencies.dtype) @ self.frequencies)
        return torch.cat([x, phases.sin(), phases.cos()], 1)


class MLPDiscriminator(nn.Module):
    """Examples or packs of them (N, packing·shape[0], ...), and a label (N,) if there are classes, to logits.

    Args:
        shape: of one example.
        hidden: widths from the input to the logit.
        classes: labels, 0 for none.
        norm: none, batch (not on the first layer) or spectral.
        activation: relu, leaky, tanh or maxout of 5 pieces.
        fourier: standard deviation of the frequencies of `FourierFeatures`, in cycles per unit; 0 for none.
        minibatch_std: what the last hidden layer sees has `blocks.minibatch_std` appended.
        packing: examples that are judged together.
        head: makes the module that the features end in, from their number; by default a logit's.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        hidden: tuple[int, ...] = (256, 128),
        classes: int = 0,
        norm: str = "none",
        activation: str = "leaky",
        fourier: float = 0.0,
        minibatch_std: bool = False,
        packing: int = 1,
        head: Head | None = None,
    ) -> None:
        super().__init__()
        self.gain = GAINS[activation]
        inputs = packing * math.prod(shape)
        layers: list[nn.Module] = [nn.Flatten()]
        if fourier:
            layers += [FourierFeatures(inputs, fourier)]
            inputs += 2 * PROJECTIONS
        widths = (inputs, *hidden)
        for depth, (inputs, outputs) in enumerate(pairwise(widths), 1):
            last = minibatch_std and depth == len(hidden)
            layers += [MinibatchStd()] if last else []
            linear = nn.Linear(inputs + last, outputs * pieces(activation))
            unnormalised = norm == "batch" and depth == 1
            layers += activated(linear, norm="none" if unnormalised else norm, activation=activation)
        self.hidden = nn.Sequential(*layers)
        self.head = (head or logit_head(classes, norm))(widths[-1])

    def initialise(self, rng: torch.Generator) -> None:
        """Draws all weights, which keep the scale of a signal from layer to layer."""
        initialise(self.hidden, rng, scaled(self.gain))
        initialise(self.head, rng, scaled(1.0))
        for layer in self.hidden:
            if isinstance(layer, FourierFeatures):
                normal(layer.frequencies, layer.scale, rng)

    def features(self, x: Tensor) -> Tensor:
        """The last hidden layer, (N, F)."""
        return self.hidden(x)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self.head(self.features(x), y)
