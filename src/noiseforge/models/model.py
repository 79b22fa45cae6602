"""What every model does: it has players, and samples by label."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from noiseforge.data.spec import Dataset, Spec
from noiseforge.errors import UserError, unknown
from noiseforge.models.player import Player


class Model(nn.Module, ABC):
    """Networks, the players that train them, and samples.

    Args:
        spec: what an example is.
        conditional: whether labels are a condition.
    """

    CONDITIONED = "model.conditional=true"
    """The setting by which labels are a condition."""

    def __init__(self, spec: Spec, *, conditional: bool):
        super().__init__()
        if conditional and not spec.classes:
            raise UserError(f"{self.CONDITIONED} needs labels, and {spec.source} has none: train without")
        self.spec = spec
        self.classes = len(spec.classes) if conditional else 0

    def prepare(self, data: Dataset) -> None:
        """Takes from the training examples what a model starts from, before its first round: here nothing."""

    def settle(self) -> None:
        """Takes from weights that are to be used what follows from them: here nothing."""

    @abstractmethod
    def players(self) -> list[Player]:
        """Who plays in a round of the training, in order."""

    def labels(self, n: int, label: int | str | Tensor | None = None) -> Tensor | None:
        """The (n,) labels that `sample` uses, or None for a model without conditions."""
        if not self.classes:
            if label is not None:
                raise UserError(f"label was given, but this model is not conditional: train with {self.CONDITIONED}")
            return None
        if label is None:
            return torch.arange(n) % self.classes
        if isinstance(label, Tensor):
            return label
        return torch.full((n,), self._class_index(label))

    def condition(self, y: Tensor | None) -> Tensor | None:
        """The labels, if this model takes them."""
        return y if self.classes else None

    def _class_index(self, label: int | str) -> int:
        names = self.spec.classes
        if isinstance(label, str) and label in names:
            return names.index(label)
        try:
            index = int(label)
        except ValueError:
            raise unknown("label", str(label), names) from None
        if not 0 <= index < len(names):
            raise UserError(f"label must be one of 0..{len(names) - 1} or a class name, got {label}")
        return index
