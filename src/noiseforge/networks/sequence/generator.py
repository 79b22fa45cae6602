"""Recurrent players of a direct game: noise at every step on one side, a judgement of every step on the other."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot, softmax

from noiseforge.networks.blocks import LabelledLatent, ProjectionHead, check_labels, initialise, scaled
from noiseforge.networks.sequence.masks import chunked
from noiseforge.networks.sequence.recurrent import Cell, Recurrent
from noiseforge.networks.sequence.representation import Representation
from noiseforge.networks.sequence.view import LARGEST, SURE, Parts


class RecurrentGenerator(nn.Module):
    """Noise (N, (1 + ceil(T / chunk))·latent), and labels (N,) if there are classes, to what a `View` shows.

    The first draws are told at every step, the others at one step each. A step of the network makes `chunk` steps of
    the series, and of each of them says whether the series goes on.

    Args:
        representation: of the series.
        latent: normal draws for each step of the network, and for the whole series.
        hidden: units.
        layers: how many.
        chunk: steps of a series that a step of the network makes.
        cell: lstm or gru.
        classes: labels, 0 for none.
    """

    def __init__(
        self,
        representation: Representation,
        latent: int,
        *,
        hidden: int,
        layers: int,
        chunk: int,
        cell: Cell = "gru",
        classes: int = 0,
    ) -> None:
        super().__init__()
        # Held without being a part: its buffers are the model's, and move with that.
        self.held = (representation,)
        self.latent, self.layers = latent, layers
        self.draws = latent * (1 + math.ceil(representation.steps / chunk))
        self.labelled = LabelledLatent(latent, classes)
        self.states = 2 if cell == "lstm" else 1
        self.start = nn.Linear(self.labelled.width, layers * self.states * hidden)
        self.recurrent = Recurrent(self.labelled.width + latent, hidden, layers, cell=cell)
        self.output = nn.Linear(hidden, chunk * representation.inputs)

    def initialise(self, rng: torch.Generator) -> None:
        """Draws all weights."""
        initialise(self, rng, scaled(1.0))
        self.recurrent.initialise(rng)

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        (representation,) = self.held
        whole, steps = z.split([self.latent, self.draws - self.latent], 1)
        whole, steps = self.labelled(whole, y), steps.unflatten(1, (-1, self.latent))
        starts = self.start(whole).tanh().view(len(z), self.layers, self.states, -1).unbind(1)
        inputs = torch.cat([whole.unsqueeze(1).expand(-1, steps.shape[1], -1), steps], 2)
        states = self.recurrent(inputs, state=tuple(tuple(parts.unbind(1)) for parts in starts)).outputs
        outputs = self.output(states).reshape(len(z), -1, representation.inputs)[:, : representation.steps]
        return presented(representation, outputs)


def presented(representation: Representation, outputs: Tensor) -> Tensor:
    """Unbounded numbers (N, T, inputs) as a `View` shows series: choices made, gaps and what follows the end blank.

    Choices are hard as those of the data are; their gradient is that of the probabilities (Bengio et al. 2013).
    """
    numbers, level = outputs[..., :-1].split([representation.outputs, representation.levels], 2)
    parts = representation.parts(numbers, level.mean(1))
    alive = _alive(representation, outputs[..., -1])
    category = torch.cat([_chosen(logits) for logits in representation.split(parts.category)] or [parts.category], 2)
    missing = _decided(parts.missing)
    real = representation.blanked(parts.real, parts.level, missing, alive)
    category = category * (1 - representation.category_gaps(missing))
    level = parts.level.clamp(-LARGEST, LARGEST).unsqueeze(1).expand(-1, real.shape[1], -1)
    return torch.cat([torch.cat([real, category, missing, level], 2) * alive, alive], 2)


def unpresented(representation: Representation, x: Tensor) -> tuple[Parts, Tensor]:
    """What `presented` gave, as parts of which nothing is left to draw, and the lengths (N,)."""
    real, category, missing, level = x[..., :-1].split([*representation.widths, representation.levels], 2)
    parts = Parts(real, SURE * (2 * category - 1), SURE * (2 * missing - 1), level[:, 0])
    return parts, x[..., -1].sum(1).round().long()


def _alive(representation: Representation, logits: Tensor) -> Tensor:
    """(N, T, 1): 1 until the series ends, never before the shortest that was seen."""
    shortest = representation.lengths.gt(0).to(logits.dtype).argmax() + 1
    safe = torch.arange(logits.shape[1], device=logits.device) < shortest
    # One step that does not go on ends it: the product of all until there.
    return torch.where(safe, torch.ones_like(logits), _decided(logits + 2)).cumprod(1).unsqueeze(2)


def _decided(logits: Tensor) -> Tensor:
    """1 where the logit is above 0, else 0."""
    soft = logits.sigmoid()
    return (logits > 0).to(soft.dtype) + (soft - soft.detach())


def _chosen(logits: Tensor) -> Tensor:
    """One-hot of the largest of each (N, T, K)."""
    soft = softmax(logits, 2)
    return one_hot(logits.argmax(2), logits.shape[2]).to(soft.dtype) + (soft - soft.detach())


class RecurrentDiscriminator(nn.Module):
    """What views show (N, T, packing·inputs), and labels (N,) if there are classes, to logits (N, ceil(T / chunk) + 1).

    One logit for each step, and one for the whole series from the mean and the maximum over time.

    Args:
        inputs: numbers of a step.
        hidden: units in each direction.
        layers: how many.
        chunk: steps of a series that the network sees at once.
        cell: lstm or gru.
        classes: labels, 0 for none.
        twice: whether gradients have gradients, as penalties need.
    """

    def __init__(
        self, inputs: int, *, hidden: int, layers: int, chunk: int, cell: Cell = "gru", classes: int = 0, twice: bool
    ) -> None:
        super().__init__()
        self.chunk, self.classes = chunk, classes
        self.recurrent = Recurrent(chunk * inputs + classes, hidden, layers, cell=cell, bidirectional=True, twice=twice)
        self.step = nn.Linear(self.recurrent.width, 1)
        self.whole = ProjectionHead(2 * self.recurrent.width, classes)

    def initialise(self, rng: torch.Generator) -> None:
        """Draws all weights."""
        initialise(self, rng, scaled(1.0))
        self.recurrent.initialise(rng)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        check_labels(y, self.classes)
        x, _ = chunked(x, None, self.chunk)
        if y is not None:
            x = torch.cat([x, one_hot(y, self.classes).to(x.dtype).unsqueeze(1).expand(-1, x.shape[1], -1)], 2)
        states = self.recurrent(x).outputs
        whole = self.whole(torch.cat([states.mean(1), states.amax(1)], 1), y)
        return torch.cat([self.step(states).squeeze(2).to(whole.dtype), whole.unsqueeze(1)], 1)
