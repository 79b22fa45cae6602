"""Reading a sequence of any length piece by piece, and truncated back-propagation through it.

The state is carried from piece to piece, and gradients stay within one. Memory is that of one piece.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn

from noiseforge.networks.sequence.masks import inside
from noiseforge.networks.sequence.pooling import Pooling
from noiseforge.networks.sequence.recurrent import Read, State

Reader = Callable[[int, int, Tensor, State | None], Read]
"""What a network makes of the steps from one to another, with the true lengths (N,) within them, from a state."""


class Piece:
    """What one piece of each sequence adds to its pooled vector."""

    def __init__(self, read: Read, start: int, length: Tensor, how: Pooling):
        self.read, self.start, self.length, self.how = read, start, length, how
        self.steps = read.outputs.shape[1]
        self.there = inside(read.outputs, length - start)[:, :, None]

    def mean(self) -> Tensor:
        """(N, H) its share of the mean over all true steps."""
        return (self.read.outputs * self.there).sum(1) / self.length[:, None]

    def ends(self) -> Tensor:
        """(N,), whether a sequence ends within this piece."""
        return (self.length > self.start) & (self.length <= self.start + self.steps)

    def last(self) -> Tensor:
        """(N, H) the last true step where it is in this piece, else 0."""
        return self.read.final[:, -1] * self.ends()[:, None]

    def highest(self) -> tuple[Tensor, Tensor]:
        """(N, H) the highest values within the piece, and at which step of the sequence they stand."""
        outputs = self.read.outputs
        value, place = outputs.masked_fill(~self.there, torch.finfo(outputs.dtype).min).max(1)
        return value, place + self.start

    def at(self, place: Tensor) -> Tensor:
        """(N, H) the outputs at steps of the sequence that are in this piece, else 0."""
        here = (place >= self.start) & (place < self.start + self.steps)
        taken = self.read.outputs.gather(1, (place - self.start).clamp(0, self.steps - 1)[:, None])[:, 0]
        return taken * here

    def share(self, places: Tensor | None) -> Tensor:
        """What it adds to the pooled vector: all pieces together come to the whole of it."""
        if self.how == "last":
            return self.last()
        parts = [self.mean()] if self.how in ("mean", "mean_max") else []
        return torch.cat([*parts, *([] if places is None else [self.at(places)])], 1)


def pieces(reader: Reader, length: Tensor, steps: int, how: Pooling) -> Iterator[Piece]:
    """The pieces of all sequences in order. Gradients do not pass from one to the next."""
    state: State | None = None
    for start in range(0, int(length.max()), steps):
        end = min(start + steps, int(length.max()))
        # A sequence that is over is read on, for nothing: what is made of it counts no more.
        read = reader(start, end, (length - start).clamp(1, end - start), state)
        yield Piece(read, start, length, how)
        state = tuple(tuple(part.detach() for part in layer) for layer in read.state)


@torch.no_grad()
def pooled_in_pieces(reader: Reader, length: Tensor, steps: int, how: Pooling) -> tuple[Tensor, Tensor | None]:
    """The pooled vector of whole sequences, and at which step each feature of a maximum is (N, H)."""
    added: Tensor | float = 0.0
    best: Tensor | None = None
    places: Tensor | None = None
    for piece in pieces(reader, length, steps, how):
        if how != "max":
            added = added + (piece.last() if how == "last" else piece.mean())
        if how in ("max", "mean_max"):
            value, place = piece.highest()
            if best is None or places is None:
                best, places = value, place
            else:
                best, places = torch.where(value > best, value, best), torch.where(value > best, place, places)
    parts = [part for part in (added, best) if isinstance(part, Tensor)]
    return torch.cat(parts, 1), places


def truncated_loss(
    reader: Reader,
    length: Tensor,
    steps: int,
    how: Pooling,
    loss: Callable[[Tensor], Tensor],
    parameters: Sequence[nn.Parameter],
) -> Tensor:
    """The loss of the pooled vectors, whose gradient is that of truncated back-propagation through time.

    The sequences are read twice. The first time gives the loss and its slope at the pooled vectors, the second follows
    that slope back through one piece after the other. With as many steps as the longest has, the gradient is the
    whole one. (Williams and Peng 1990 truncate at every step; here it is at the pieces' edges, as is usual.)

    Args:
        reader: reads from one step to another. Whatever it draws must be the same in every piece and both times.
        length: (N,) true steps.
        steps: of a piece.
        how: of the pooling.
        loss: of the pooled vectors (N, ...), with parameters of its own.
        parameters: all that learn.

    Returns:
        A scalar with the value of the loss. Its gradients of first order are ready: the graphs are gone.
    """
    pooled, places = pooled_in_pieces(reader, length, steps, how)
    pooled.requires_grad_()
    value = loss(pooled)
    slope, *own = torch.autograd.grad(value, [pooled, *parameters], materialize_grads=True)
    gradients = list(own)
    for piece in pieces(reader, length, steps, how):
        if how == "last" and not piece.ends().any():
            continue
        share = piece.share(places)
        found = torch.autograd.grad(share, parameters, slope.to(share.dtype), materialize_grads=True)
        torch._foreach_add_(gradients, list(found))
    return _Ready.apply(value.detach(), gradients, *parameters)


class _Ready(torch.autograd.Function):
    """A value whose gradients are known already."""

    @staticmethod
    def forward(
        ctx: torch.autograd.function.FunctionCtx, value: Tensor, gradients: list[Tensor], *of: Tensor
    ) -> Tensor:
        ctx.gradients = gradients  # type: ignore[attr-defined]
        return value.clone()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: torch.autograd.function.FunctionCtx, weight: Tensor) -> tuple[Tensor | None, ...]:
        return (None, None, *(weight * gradient for gradient in ctx.gradients))  # type: ignore[attr-defined]
