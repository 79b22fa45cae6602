"""What every model with a latent space does: draw latents, decode them, encode."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from noiseforge.data.spec import Spec
from noiseforge.errors import UserError
from noiseforge.models.model import Model
from noiseforge.objectives.variational import guarded

CHUNK = 512
"""Rows that a network is given at a time."""


class LatentModel(Model):
    """A prior over latents and a network from them to examples. Subclasses say which network.

    Args:
        latent: dimensions of the latent.
        conditional: whether labels are a condition.
        spec: what an example is.
    """

    def __init__(self, latent: int, *, conditional: bool, spec: Spec):
        super().__init__(spec, conditional=conditional)
        self.width = latent

    @abstractmethod
    def render(self, z: Tensor, y: Tensor | None) -> Tensor:
        """(N, latent) and (N,) labels or None -> (N, *shape) in model units, on the model's device."""

    def latent(self, n: int, generator: torch.Generator) -> Tensor:
        """(n, latent) draws of the prior, on the CPU: the same on every device."""
        return torch.randn(n, self.width, generator=generator)

    @torch.inference_mode()
    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """(N, latent) and, for a conditional model, (N,) labels -> (N, *shape) on the CPU, in model units."""
        samples = self.in_chunks(self.render, z, y) if len(z) else torch.empty(0, *self.spec.shape)
        return samples if self.spec.value_range is None else samples.clamp(*self.spec.value_range)

    def sample(
        self, n: int, *, label: int | str | Tensor | None = None, generator: torch.Generator | None = None
    ) -> Tensor:
        """(n, *shape) samples in model units, on the CPU.

        Args:
            n: how many.
            label: of a conditional model, one class (index or name) or (n,) indices; None takes the classes in turn.
            generator: a CPU generator; None starts one at seed 0.
        """
        if n < 1:
            raise UserError(f"n must be >= 1, got {n}")
        generator = generator or torch.Generator().manual_seed(0)
        return self.decode(self.latent(n, generator), self.labels(n, label))

    def in_chunks(self, network: Callable[[Tensor, Tensor | None], Tensor], x: Tensor, y: Tensor | None) -> Tensor:
        """What a network makes of many rows, in evaluation mode and a few at a time; float32, on the CPU."""
        was_training = self.training
        self.eval()
        device = next(self.parameters()).device
        parts = []
        for start in range(0, len(x), CHUNK):
            rows = slice(start, start + CHUNK)
            parts.append(network(x[rows].to(device), None if y is None else y[rows].to(device)).float().cpu())
        self.train(was_training)
        return torch.cat(parts)


class Code(NamedTuple):
    """q(z|x) = N(mean, exp(log_variance)), both (N, latent)."""

    mean: Tensor
    log_variance: Tensor


class EncodingModel(LatentModel):
    """A latent model that also goes back, from examples to their codes. Subclasses have an `encoder`."""

    encoder: nn.Module
    """x (N, *shape) and labels to the mean and the log-variance of its code, side by side (N, 2·latent)."""

    def code(self, x: Tensor, y: Tensor | None) -> Code:
        """q(z|x) on the model's device, with gradients."""
        mean, log_variance = self.encoder(x, y).float().chunk(2, dim=1)
        return Code(mean, guarded(log_variance))

    @torch.inference_mode()
    def encode(self, x: Tensor, y: Tensor | None = None, length: Tensor | None = None) -> Code:
        """q(z|x) of (N, *shape) in model units and, for a conditional model, (N,) labels; on the CPU.

        Series may have lengths (N,); pictures and points have none.
        """
        if not len(x):
            return Code(torch.empty(0, self.width), torch.empty(0, self.width))
        both = self.in_chunks(lambda rows, labels: torch.cat(self.code(rows, labels), 1), x, self.condition(y))
        return Code(*both.chunk(2, dim=1))

    def reconstruct(self, x: Tensor, y: Tensor | None = None, length: Tensor | None = None) -> Tensor:
        """(N, *shape) decoded from the means of the codes of (N, *shape); arguments as of `encode`."""
        return self.decode(self.encode(x, y).mean, self.condition(y))
