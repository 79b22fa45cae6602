"""Deep recurrent networks that read sequences of any lengths."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from noiseforge.networks.sequence.initial import initialise_layer, initialise_uniformly
from noiseforge.networks.sequence.masks import inside, interleaved, joined, last_step, reverse
from noiseforge.networks.sequence.slices import Tensors, sliced

Cell = Literal["lstm", "gru", "rnn"]
CELLS: dict[str, Callable[..., nn.RNNBase]] = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}
"""rnn is the plain one with tanh."""
State = tuple[Tensors, ...]
"""For each layer what it carries on, each (N·dilation, hidden): h, and c of an LSTM."""


class Read(NamedTuple):
    """What a network makes of sequences."""

    outputs: Tensor
    """(N, T, width) of the last layer, 0 after the end of each sequence."""
    final: Tensor
    """(N, layers, width): each layer's output where it has read all, which backwards is the first step."""
    state: State
    """What to go on with where the sequences have more steps; empty for a bidirectional network."""


class Layer(nn.Module):
    """One recurrent layer, in one direction or both, over every `dilation`-th step (Chang et al. 2017, section 2.1)."""

    def __init__(self, cell: Cell, inputs: int, hidden: int, *, bidirectional: bool, dilation: int) -> None:
        super().__init__()
        self.dilation = dilation
        self.forwards = CELLS[cell](inputs, hidden, batch_first=True)
        self.backwards = CELLS[cell](inputs, hidden, batch_first=True) if bidirectional else None

    def forward(self, x: Tensor, length: Tensor | None, state: Tensors | None) -> tuple[Tensor, Tensors]:
        """(N, T, inputs) to (N, T, width), and what to carry on. What comes after an end is of no meaning."""
        outputs, carried = self._directed(self.forwards, x, state)
        if self.backwards is None:
            return outputs, carried
        # Mirrored within its length, a sequence has its padding after it in this direction too.
        mirrored, _ = self._directed(self.backwards, reverse(x, length), None)
        return torch.cat([outputs, reverse(mirrored, length)], 2), ()

    def _directed(self, network: nn.RNNBase, x: Tensor, state: Tensors | None) -> tuple[Tensor, Tensors]:
        steps = x.shape[1]
        given = None if state is None else tuple(part[None] for part in state)
        start = given[0] if given is not None and len(given) == 1 else given
        outputs, carried = network(interleaved(x, self.dilation), start)
        parts = carried if isinstance(carried, tuple) else (carried,)
        return joined(outputs, self.dilation, steps), tuple(part[0] for part in parts)


@contextmanager
def _twice_differentiable() -> Iterator[None]:
    """Keeps libraries out whose gradients have none: oneDNN's LSTM, and cuDNN."""
    before = torch._C._get_mkldnn_enabled()
    torch._C._set_mkldnn_enabled(False)  # backends.mkldnn.flags also sets TF32, which warns
    try:
        with torch.backends.cudnn.flags(enabled=False):
            yield
    finally:
        torch._C._set_mkldnn_enabled(before)


class Recurrent(nn.Module):
    """A stack of recurrent layers. Padding never changes what is made of true steps.

    Args:
        inputs: features of a step.
        hidden: units of each layer, in each direction.
        layers: how many; `dilations` gives their number where it is given.
        cell: lstm, gru, or rnn (tanh).
        bidirectional: every layer reads in both directions.
        dropout: share of the features that each layer but the first is not told, the same at all steps of a sequence
            (Gal and Ghahramani 2016).
        layer_norm: normalises the outputs of each layer.
        residual: adds to the outputs of each layer but the first what it read.
        dilations: of each layer, such as (1, 2, 4, 8); all 1 when left out.
        twice: gradients have gradients, as penalties need. Slower.
    """

    def __init__(
        self,
        inputs: int,
        hidden: int,
        layers: int = 1,
        *,
        cell: Cell = "lstm",
        bidirectional: bool = False,
        dropout: float = 0.0,
        layer_norm: bool = False,
        residual: bool = False,
        dilations: Sequence[int] = (),
        twice: bool = False,
    ) -> None:
        super().__init__()
        self.hidden, self.bidirectional, self.dropout = hidden, bidirectional, dropout
        self.residual, self.twice = residual, twice
        self.width = hidden * (2 if bidirectional else 1)
        steps = tuple(dilations) or (1,) * layers
        reads = (inputs, *[self.width] * (len(steps) - 1))
        self.layers = nn.ModuleList(
            Layer(cell, width, hidden, bidirectional=bidirectional, dilation=step)
            for width, step in zip(reads, steps, strict=True)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(self.width) if layer_norm else nn.Identity() for _ in steps)

    def initialise(self, rng: torch.Generator, *, longest: int | None = None, uniform: bool = False) -> None:
        """Draws every weight.

        Args:
            rng: draws them.
            longest: steps to be remembered, where the gates are to begin by them: see `initialise_layer`.
            uniform: all weights of the layers as torch's own have them.
        """
        for layer in self.layers:
            assert isinstance(layer, Layer)
            for network in (layer.forwards, layer.backwards):
                if network is None:
                    continue
                if uniform:
                    initialise_uniformly(network, rng)
                else:
                    initialise_layer(network, rng, longest=None if longest is None else longest / layer.dilation)
        for norm in self.norms:
            if isinstance(norm, nn.LayerNorm):
                nn.init.ones_(norm.weight)
                nn.init.zeros_(norm.bias)

    def forward(
        self,
        x: Tensor,
        length: Tensor | None = None,
        state: State | None = None,
        *,
        drops: torch.Generator | None = None,
    ) -> Read:
        """Reads sequences.

        Args:
            x: (N, T, inputs), finite; see `masks.known`.
            length: (N,) true steps, from 1 to T; all T when left out.
            state: what an earlier part of the same sequences left in `Read.state`, or another start: for each layer
                (h,) or (h, c). Dilated layers go on rightly after a multiple of their dilation.
            drops: draws the dropout; None leaves it out.
        """
        if state is not None and self.bidirectional:
            raise ValueError("a bidirectional network reads whole sequences: it takes no state")
        given = [] if state is None else [part for layer in state for part in layer]
        # One row of a sequence, also of the states of dilated layers.
        given = [part.unflatten(0, (len(x), -1)) for part in given]
        masks = self._masks(x, drops)
        extents = [] if length is None else [length.to(x.device)]

        def work(x: Tensor, *others: Tensor) -> Tensors:
            extent = others[0] if extents else None
            rest = others[len(extents) :]
            return self._read(x, extent, rest[: len(given)], rest[len(given) :])

        inputs = [x, *extents, *given, *masks]
        if self.twice:
            with _twice_differentiable():
                outputs, final, *carried = work(*inputs)
        else:
            weights = [p for p in self.parameters() if p.requires_grad]
            outputs, final, *carried = sliced(work, inputs, weights, states=x.shape[1] * self.hidden)
        return Read(outputs, final, self._by_layer(carried))

    def _read(self, x: Tensor, length: Tensor | None, given: Tensors, masks: Tensors) -> Tensors:
        """outputs, final and the states of all layers, for the rows of one slice."""
        state = self._by_layer(given) if given else (None,) * len(self.layers)
        finals, carried = [], []
        for depth, (layer, norm) in enumerate(zip(self.layers, self.norms, strict=True)):
            read = x * masks[depth - 1] if masks and depth else x
            outputs, parts = layer(read, length, state[depth])
            outputs = norm(outputs)
            x = x + outputs if self.residual and depth else outputs
            finals.append(self._final(x, length))
            carried += [part.unflatten(0, (len(x), -1)) for part in parts]
        if length is not None:
            x = x * inside(x, length)[:, :, None]
        return (x, torch.stack(finals, 1), *carried)

    def _final(self, outputs: Tensor, length: Tensor | None) -> Tensor:
        final = last_step(outputs, length)
        return torch.cat([final[:, : self.hidden], outputs[:, 0, self.hidden :]], 1) if self.bidirectional else final

    def _by_layer(self, parts: Sequence[Tensor]) -> State:
        """States with a row for each sequence as the layers have them, layer by layer."""
        each = len(parts) // len(self.layers)
        flat = [part.flatten(0, 1) for part in parts]
        return tuple(tuple(flat[i : i + each]) for i in range(0, len(flat), each)) if flat else ()

    def _masks(self, x: Tensor, drops: torch.Generator | None) -> list[Tensor]:
        """What multiplies the input (N, 1, width) of each layer but the first; none without dropout."""
        if drops is None or not self.dropout:
            return []
        shape, kept = (len(x), 1, self.width), 1 - self.dropout
        return [(torch.rand(shape, generator=drops, device=drops.device) < kept).to(x) / kept for _ in self.layers[1:]]
