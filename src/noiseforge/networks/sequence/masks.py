"""Which values of sequences (N, T, D) are known, and what depends on where each of them ends."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad


def known(x: Tensor, length: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The values with 0 for what is missing (NaN) or after the end, and which of them are known.

    Args:
        x: (N, T, D).
        length: (N,) true steps of each; all T when left out.

    Returns:
        (N, T, D) as x, and (N, T, D) bool.

    >>> filled, there = known(torch.tensor([[[1.0], [torch.nan], [7.0]]]), torch.tensor([2]))
    >>> filled.flatten().tolist(), there.flatten().tolist()
    ([1.0, 0.0, 0.0], [True, False, False])
    """
    there = ~x.isnan()
    if length is not None:
        there = there & inside(x, length)[:, :, None]
    return x.masked_fill(~there, 0), there


def interpolated(x: Tensor, there: Tensor, otherwise: Tensor) -> Tensor:
    """Values (N, T, D) with what is not there on a line between those before and after it.

    Before the first and after the last that is there, it is as they are.

    Args:
        x: finite.
        there: (N, T, D) bool.
        otherwise: (D,), where nothing is there at all.

    >>> known = torch.tensor([False, True, False, False, True]).view(1, 5, 1)
    >>> interpolated(torch.tensor([0.0, 1, 0, 0, 4]).view(1, 5, 1), known, torch.zeros(1)).flatten().tolist()
    [1.0, 1.0, 2.0, 3.0, 4.0]
    """
    steps, end = torch.arange(x.shape[1], device=x.device).view(1, -1, 1), x.shape[1]
    before = torch.where(there, steps, -1).cummax(1).values
    after = torch.where(there, steps, end).flip(1).cummin(1).values.flip(1)
    first = torch.where(before < 0, after, before).clamp(max=end - 1)
    last = torch.where(after == end, before, after).clamp(min=0)
    weight = (steps - first) / (last - first).clamp(min=1)
    line = torch.lerp(x.gather(1, first), x.gather(1, last), weight.to(x.dtype))
    return torch.where(there, x, torch.where(there.any(1, keepdim=True), line, otherwise))


def inside(x: Tensor, length: Tensor) -> Tensor:
    """(N, T), whether a step of x (N, T, ...) lies within the true length (N,)."""
    return torch.arange(x.shape[1], device=x.device) < length.to(x.device)[:, None]


def reverse(x: Tensor, length: Tensor | None = None) -> Tensor:
    """Each sequence of x (N, T, D) from its last true step to its first; what follows the end stays in its place.

    >>> reverse(torch.tensor([[[1], [2], [0]]]), torch.tensor([2])).flatten().tolist()
    [2, 1, 0]
    """
    if length is None:
        return x.flip(1)
    place = torch.arange(x.shape[1], device=x.device)
    length = length.to(x.device)[:, None]
    mirrored = torch.where(place < length, length - 1 - place, place)
    return x.gather(1, mirrored[:, :, None].expand_as(x))


def last_step(x: Tensor, length: Tensor | None = None) -> Tensor:
    """The last true step (N, D) of each sequence of x (N, T, D)."""
    if length is None:
        return x[:, -1]
    place = (length.to(x.device) - 1).view(-1, 1, 1).expand(-1, 1, x.shape[2])
    return x.gather(1, place)[:, 0]


def chunked(x: Tensor, length: Tensor | None, steps: int) -> tuple[Tensor, Tensor | None]:
    """Every `steps` neighbouring steps as one: (N, T, D) -> (N, ⌈T / steps⌉, steps·D), and the lengths in such steps.

    What fills up the last one is 0: `known` says that it is unknown.

    >>> chunked(torch.tensor([[[1], [2], [3]]]), torch.tensor([3]), 2)
    (tensor([[[1, 2],
             [3, 0]]]), tensor([2]))
    """
    if steps == 1:
        return x, length
    whole = pad(x, (0, 0, 0, -x.shape[1] % steps)).unflatten(1, (-1, steps)).flatten(2)
    return whole, None if length is None else (length + steps - 1) // steps


def interleaved(x: Tensor, count: int) -> Tensor:
    """Every `count`-th step as a sequence of its own: (N, T, D) -> (N·count, ⌈T / count⌉, D), filled up with 0."""
    return pad(x, (0, 0, 0, -x.shape[1] % count)).unflatten(1, (-1, count)).transpose(1, 2).flatten(0, 1)


def joined(x: Tensor, count: int, steps: int) -> Tensor:
    """The inverse of `interleaved`: (N·count, ⌈steps / count⌉, D) -> (N, steps, D)."""
    return x.unflatten(0, (-1, count)).transpose(1, 2).flatten(1, 2)[:, :steps]


def moments(x: Tensor, counted: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean, and second and fourth central moment over time, each (N, R), of (N, T, R) at steps (N, T)."""
    weights = counted.unsqueeze(2).to(x.dtype)
    count = weights.sum(1)
    mean = (x * weights).sum(1) / count
    squares = (x - mean.unsqueeze(1)).square() * weights
    return mean, squares.sum(1) / count, squares.square().sum(1) / count


def time_mean(x: Tensor, alive: Tensor) -> Tensor:
    """(N, 1, F) over the steps that there are."""
    weights = alive.unsqueeze(2).to(x.dtype)
    return (x * weights).sum(1, keepdim=True) / weights.sum(1, keepdim=True)
