"""The players of a game on codes: a generator, and a discriminator that also looks at the series they stand for."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, pad

from noiseforge.networks.blocks import GAINS, SLOPE, initialise, scaled
from noiseforge.networks.mlp import MLPDiscriminator, MLPGenerator
from noiseforge.networks.sequence.levels import LevelMixture

START = 0.05
"""Share of its usual scale that the output of a code generator's network begins with; swells begin at 0."""
WAVES = 16
"""Cosines over time, at most, by which the scale of a component swells."""
PATCH = 4
"""Neighbours in time that a layer of `Textures` joins."""
TEXTURES = 64
"""Numbers that each of its layers gives."""
STILL = 1e-4
"""Root mean square of the steps of a channel under which it does not move, but for rounding."""


class CodeGenerator(nn.Module):
    """Noise (N, width), and labels (N,) if there are classes, to codes: levels, then a shape.

    Levels come from a mixture. Numbers of a shape are noise of their own scale, which a network that is told the
    levels shifts and stretches: the game begins near a normal distribution of the right mean and covariance, and what
    it learns is how shapes differ from that. It also swells the series that a shape stands for, and calms it: bursts
    are of many numbers of a shape at once.

    Args:
        network: noise without that of the levels, the levels, and labels to (N, 2·shape + swells), unbounded.
        mixture: of the levels; its noise comes after the first `latent` numbers.
        finish: shapes (N, shape), swells and levels to codes.
        latent: numbers of the noise before it.
        width: numbers of all noise.
        shape: numbers of a shape.
    """

    scales: Tensor

    def __init__(
        self,
        network: MLPGenerator,
        mixture: LevelMixture,
        finish: Callable[[Tensor, Tensor, Tensor], Tensor],
        *,
        latent: int,
        width: int,
        shape: int,
    ) -> None:
        super().__init__()
        self.network, self.mixture, self.finish = network, mixture, finish
        drawn = mixture.levels + 1
        self.parts = [latent, drawn, width - latent - drawn]
        self.register_buffer("scales", torch.ones(shape))
        with torch.no_grad():
            network.output.weight.mul_(START)
            network.output.weight[2 * shape :] = 0

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        own, drawn, category = z.split(self.parts, 1)
        level = self.mixture(drawn, y).to(z.dtype)
        told, size = self.network(torch.cat([own, level, category], 1), y), len(self.scales)
        shift, stretch, swells = told.split([size, size, told.shape[1] - 2 * size], 1)
        shape = self.scales * (shift + pad(own, (0, size - own.shape[1])) * stretch.tanh().exp())
        return self.finish(shape, swells, level)


class Swelling(nn.Module):
    """Components (N, T, R) and swells (N, R·waves) to components whose scale comes and goes, e-fold at most.

    Args:
        steps: T.
        components: R.
    """

    waves: Tensor

    def __init__(self, steps: int, components: int) -> None:
        super().__init__()
        self.components, count = components, min(WAVES, steps // 2)
        angle = torch.arange(1, count + 1)[:, None] * (torch.arange(steps) + 0.5) * (torch.pi / steps)
        self.register_buffer("waves", angle.cos(), persistent=False)
        self.numbers = components * count

    def forward(self, x: Tensor, swells: Tensor) -> Tensor:
        times = swells.view(len(swells), self.components, len(self.waves)) @ self.waves
        return x * times.transpose(1, 2).tanh().exp()


class Textures(nn.Module):
    """Series (N, T, C) to (N, numbers): what they look like near by, whenever it is.

    Each layer joins every `PATCH` neighbours, so that it sees as many times further than the one before, and what it
    finds is averaged over time. The first sees values and, scaled to a mean square of 1, steps: small movements of a
    series that goes far are as plain as large ones.

    Args:
        steps: T.
        channels: C.
    """

    scale: Tensor

    def __init__(self, steps: int, channels: int) -> None:
        super().__init__()
        self.register_buffer("scale", torch.ones(channels))
        self.layers = nn.ModuleList()
        inputs, left = 2 * channels, steps
        while left > 1:
            self.layers.append(nn.Linear(PATCH * inputs, TEXTURES))
            inputs, left = TEXTURES, -(-left // PATCH)
        self.numbers = TEXTURES * len(self.layers)

    def fit(self, series: Tensor) -> None:
        """Takes the scales of the steps from (n, T, C)."""
        size = series.diff(dim=1).square().mean((0, 1)).sqrt()
        self.scale.copy_(torch.where(size > STILL, 1 / size, 0))

    def forward(self, series: Tensor) -> Tensor:
        steps = pad(series.diff(dim=1), (0, 0, 1, 0)) * self.scale
        seen, found = torch.cat([series, steps], 2), [series[:, 0, :0]]
        for layer in self.layers:
            patches = pad(seen, (0, 0, 0, -seen.shape[1] % PATCH)).unflatten(1, (-1, PATCH)).flatten(2)
            seen = leaky_relu(layer(patches), SLOPE)
            found.append(seen.mean(1))
        return torch.cat(found, 1)


class CodeDiscriminator(nn.Module):
    """Codes or packs of them (N, packing·numbers), and labels (N,) if there are classes, to logits (N,).

    In the numbers of a code the trends of a series are large and its small movements are many tiny ones, which no
    penalised discriminator finds: so it sees the series that a code stands for as well.

    Args:
        network: sees codes and textures, and has the last word.
        textures: of series.
        restore: codes (N, numbers) to series (N, T, C); it is the model's and moves with it.
        numbers: of a code.
    """

    def __init__(
        self, network: MLPDiscriminator, textures: Textures, restore: Callable[[Tensor], Tensor], numbers: int
    ) -> None:
        super().__init__()
        self.network, self.textures, self.restore, self.numbers = network, textures, restore, numbers

    def initialise(self, rng: torch.Generator) -> None:
        """Draws the weights of the textures; the network has been drawn."""
        initialise(self.textures, rng, scaled(GAINS["leaky"]))

    def features(self, x: Tensor) -> Tensor:
        """The last hidden layer, (N, F)."""
        return self.network.features(self._seen(x))

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self.network(self._seen(x), y)

    def _seen(self, x: Tensor) -> Tensor:
        codes = x.reshape(-1, self.numbers)
        textures = self.textures(self.restore(codes).to(codes.dtype))
        return torch.cat([x, textures.reshape(len(x), -1)], 1)
