"""Networks between series and codes: an encoder, and a decoder that does not see its output."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from noiseforge.networks.blocks import CodeHead, LabelledLatent, initialise, scaled
from noiseforge.networks.sequence.masks import chunked
from noiseforge.networks.sequence.recurrent import Cell, Recurrent
from noiseforge.networks.sequence.view import View

TIME = 16
"""Numbers of a code that a step of the decoder is told."""
LONGEST = 64
"""Steps of a recurrent network at most, where nothing else is asked for: longer series go in chunks."""


def chunk_for(steps: int) -> int:
    """Steps of a series that a recurrent network takes at once, so that it runs for no more than `LONGEST`."""
    return math.ceil(steps / LONGEST)


class SequenceEncoder(nn.Module):
    """A `View` of N series, and labels (N,) if there are classes, to (N, outputs).

    A bidirectional layer, of which every step has weights of its own to the code: what is independent from step to
    step, such as noise, would not pass through a last state.

    Args:
        inputs: numbers of a view at each step.
        steps: T.
        outputs: numbers for a whole series.
        hidden: units in each direction.
        chunk: steps that the network takes at once.
        cell: lstm or gru.
        classes: labels, 0 for none.
    """

    def __init__(
        self, inputs: int, steps: int, outputs: int, *, hidden: int, chunk: int, cell: Cell = "gru", classes: int = 0
    ) -> None:
        super().__init__()
        self.chunk = chunk
        self.recurrent = Recurrent(chunk * inputs, hidden, cell=cell, bidirectional=True)
        self.steps = math.ceil(steps / chunk)
        self.output = CodeHead(self.steps * self.recurrent.width + self.recurrent.width, classes, outputs)

    def initialise(self, rng: torch.Generator) -> None:
        """Draws all weights."""
        initialise(self, rng, scaled(1.0))
        self.recurrent.initialise(rng)

    def forward(self, view: View, y: Tensor | None = None) -> Tensor:
        x, length = chunked(view.inputs, view.length, self.chunk)
        read = self.recurrent(x, length)
        return self.output(torch.cat([read.outputs.flatten(1), read.final[:, -1]], 1), y)


class Decoded(NamedTuple):
    """What a decoder makes of codes."""

    outputs: Tensor
    """(N, T, outputs)."""
    states: Tensor
    """(N, ceil(T / chunk), H) of its last layer."""
    length: Tensor
    """(N, T) logits of the lengths 1 to T."""


class SequenceDecoder(nn.Module):
    """Codes (N, code), and labels (N,) if there are classes, to `Decoded`.

    Each step is told something of the code by weights of its own, and never what the step before it made: nothing
    can drift, and all steps are one call.

    Args:
        code: numbers of a code.
        outputs: numbers for each step.
        steps: T.
        hidden: units.
        layers: how many.
        chunk: steps that one step of the network makes.
        cell: lstm or gru.
        classes: labels, 0 for none.
    """

    def __init__(
        self,
        code: int,
        outputs: int,
        steps: int,
        *,
        hidden: int,
        layers: int,
        chunk: int,
        cell: Cell = "gru",
        classes: int = 0,
    ) -> None:
        super().__init__()
        self.steps, self.layers, self.chunk, self.outputs = steps, layers, chunk, outputs
        self.labelled = LabelledLatent(code, classes)
        width = self.labelled.width
        self.told = nn.Linear(width, math.ceil(steps / chunk) * TIME)
        self.parts = 2 if cell == "lstm" else 1
        self.start = nn.Linear(width, layers * self.parts * hidden)
        self.recurrent = Recurrent(TIME, hidden, layers, cell=cell)
        self.output = nn.Linear(hidden, chunk * outputs)
        self.length = nn.Linear(width, steps)

    def initialise(self, rng: torch.Generator) -> None:
        """Draws all weights."""
        initialise(self, rng, scaled(1.0))
        self.recurrent.initialise(rng)

    def forward(self, z: Tensor, y: Tensor | None = None) -> Decoded:
        z = self.labelled(z, y)
        inputs = self.told(z).unflatten(1, (-1, TIME))
        starts = self.start(z).tanh().view(len(z), self.layers, self.parts, -1).unbind(1)
        states = self.recurrent(inputs, state=tuple(tuple(parts.unbind(1)) for parts in starts)).outputs
        outputs = self.output(states).reshape(len(z), -1, self.outputs)[:, : self.steps]
        return Decoded(outputs, states, self.length(z))
