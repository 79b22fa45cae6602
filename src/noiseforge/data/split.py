"""Which examples are learned from, which are held out, and in which order they come. All of it is seeded."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

from noiseforge.errors import UserError


def seeded(seed: int, *purpose: str | int) -> torch.Generator:
    """A generator for one purpose: streams of different purposes are independent, equal ones are equal.

    >>> bool(torch.rand(1, generator=seeded(0, "split")) == torch.rand(1, generator=seeded(0, "split")))
    True
    """
    text = ":".join(str(part) for part in (seed, *purpose))
    state = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
    return torch.Generator().manual_seed(state)


def stratified(labels: Tensor | int, *, fraction: float, seed: int) -> tuple[Tensor, Tensor]:
    """Holds out a share of every class.

    A class of two or more gives at least one example and keeps at least one; a class of one is kept whole.
    Where no class has two members, the labels are ignored.

    Args:
        labels: (N,) int64, or N when there are no labels.
        fraction: share that is held out.
        seed: of the draw.

    Returns:
        Indices kept and indices held out, each sorted, int64.

    >>> kept, held = stratified(torch.tensor([0, 0, 0, 0, 1]), fraction=0.25, seed=0)
    >>> len(kept), len(held)
    (4, 1)
    """
    known = labels if isinstance(labels, Tensor) else torch.zeros(labels, dtype=torch.int64)
    counts = torch.bincount(known) if len(known) else known
    if len(known) >= 2 and int(counts.max()) < 2:
        known = torch.zeros_like(known)
    generator = seeded(seed, "split")
    held = []
    for label in known.unique():
        members = (known == label).nonzero().flatten()
        count = min(max(round(fraction * len(members)), 1), len(members) - 1)
        held.append(members[torch.randperm(len(members), generator=generator)[:count]])
    out = torch.zeros(len(known), dtype=torch.bool)
    if held:
        out[torch.cat(held)] = True
    return (~out).nonzero().flatten(), out.nonzero().flatten()


def subset_per_class(labels: Tensor, count: int, *, classes: tuple[str, ...], seed: int) -> Tensor:
    """The sorted indices of `count` examples of every class, drawn by `seed`.

    Args:
        labels: (N,) int64.
        count: examples of each class.
        classes: names of the labels 0, 1, ...
        seed: of the draw.

    Raises:
        UserError: a class has fewer examples than that.
    """
    generator = seeded(seed, "labels per class")
    chosen = []
    for label, name in enumerate(classes):
        members = (labels == label).nonzero().flatten()
        if len(members) < count:
            raise UserError(
                f"labels_per_class={count} asks for more than there is: class {name!r} has {len(members)} "
                f"training examples; ask for at most as many as the smallest class has"
            )
        chosen.append(members[torch.randperm(len(members), generator=generator)[:count]])
    return torch.cat(chosen).sort().values


class Order:
    """An endless sequence of indices in which every epoch is a permutation of n, known at any position.

    It is a pure function of the seed and the position, so that training goes on anywhere without a state.

    >>> order = Order(5, seed=0)
    >>> sorted(order.take(0, 5).tolist())
    [0, 1, 2, 3, 4]
    >>> order.take(3, 9).tolist() == order.take(0, 12).tolist()[3:]
    True
    """

    def __init__(self, n: int, seed: int) -> None:
        self.n = n
        self.seed = seed
        self._epoch = -1
        self._permutation = torch.empty(0, dtype=torch.int64)

    def take(self, start: int, count: int) -> Tensor:
        """The indices at positions start, ..., start + count - 1, as (count,) int64."""
        pieces = []
        position, end = start, start + count
        while position < end:
            epoch, offset = divmod(position, self.n)
            piece = self._permuted(epoch)[offset : offset + end - position]
            pieces.append(piece)
            position += len(piece)
        return pieces[0] if len(pieces) == 1 else torch.cat(pieces or [torch.empty(0, dtype=torch.int64)])

    def _permuted(self, epoch: int) -> Tensor:
        if epoch != self._epoch:
            self._permutation = torch.randperm(self.n, generator=seeded(self.seed, "epoch", epoch))
            self._epoch = epoch
        return self._permutation
