"""What an autoencoder leaves out of a series, as a model from which it can be drawn anew."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import log_softmax, pad

from noiseforge.networks.blocks import initialise, scaled
from noiseforge.objectives.variational import normal_log_density

ORDER = 2
"""Steps that a residual remembers."""
PARTS = 5
"""Normal distributions that are mixed: enough for the edges of a uniform one."""
LARGEST = 12.0
"""Standard deviations of a residual that is drawn, at most."""


class ResidualNoise(nn.Module):
    """p(residual | states of the decoder, levels): a scale for each step and component, memory, mixtures of normals.

    The residual r of step t, divided by the scale σ(states, levels), follows e_t = A e_{t-1} + B e_{t-2} + C ε_t: a
    vector autoregression whose innovations ε are, component by component, mixtures of normals, so that their tails may
    be heavy or lopsided. No residual of a training series is kept.

    Args:
        states: numbers of the decoder at each of its steps.
        width: components of a residual.
        levels: numbers that say how loud a series is. Of two series of equal noise the livelier one has less of it
            after normalisation.
        chunk: steps that one step of the decoder makes.
    """

    def __init__(self, states: int, width: int, *, levels: int, chunk: int) -> None:
        super().__init__()
        self.width = width
        self.scale = nn.Sequential(nn.Linear(states, 64), nn.Tanh(), nn.Linear(64, chunk * width))
        self.level = nn.Parameter(torch.zeros(width, levels))
        self.memory = nn.Linear(ORDER * width, width, bias=False)
        self.mixing = nn.Parameter(torch.zeros(width, width))
        self.logits = nn.Parameter(torch.zeros(width, PARTS))
        # Side by side, and the middle one wide: from equal means none would leave the others.
        self.means = nn.Parameter(torch.linspace(-1.2, 1.2, PARTS).repeat(width, 1))
        self.log_scales = nn.Parameter((0.8 * (torch.arange(PARTS) == PARTS // 2) - 0.5).repeat(width, 1))

    def initialise(self, rng: torch.Generator) -> None:
        """Draws the weights of the scale; the residual starts without memory."""
        initialise(self.scale, rng, scaled(1.0))
        nn.init.zeros_(self.memory.weight)

    def log_prob(self, residual: Tensor, states: Tensor, level: Tensor) -> Tensor:
        """log p(r_t | r before it, states) in nats, by component: (N, T, width).

        Args:
            residual: (N, T, width).
            states: (N, ceil(T / chunk), states).
            level: (N, levels).
        """
        log_scale = self._log_scale(states, level, residual.shape[1])
        e = residual * (-log_scale).exp()
        past = torch.cat([pad(e, (0, 0, lag, -lag)) for lag in range(1, ORDER + 1)], 2)
        innovation = e - self.memory(past)
        # Each component is told those before it in the same step, so that the determinant is 1.
        innovation = innovation - innovation @ self.mixing.tril(-1).T
        density = normal_log_density(innovation.unsqueeze(3), self.means, 2 * self.log_scales.clamp(-5, 5))
        return (density + log_softmax(self.logits, 1)).logsumexp(3) - log_scale

    def sample(self, states: Tensor, level: Tensor, steps: int, generator: torch.Generator) -> Tensor:
        """(N, steps, width) of states (N, ceil(steps / chunk), states) and levels; draws on the CPU."""
        n, device = len(states), states.device
        normals = torch.randn(n, steps, self.width, generator=generator).to(device)
        uniforms = torch.rand(n, steps, self.width, 1, generator=generator).to(device)
        thresholds = log_softmax(self.logits, 1).exp().cumsum(1)[:, :-1]
        part = (uniforms > thresholds).sum(3, keepdim=True)
        chosen = [
            values.expand(n, steps, -1, -1).gather(3, part).squeeze(3) for values in (self.means, self.log_scales)
        ]
        innovations = chosen[0] + chosen[1].clamp(-5, 5).exp() * normals
        unmixed = torch.eye(self.width, device=device) - self.mixing.tril(-1)
        innovations = torch.linalg.solve_triangular(
            unmixed, innovations.flatten(0, 1).T, upper=False, unitriangular=True
        )
        e = self._recalled(innovations.T.reshape(n, steps, self.width))
        return e * self._log_scale(states, level, steps).exp()

    def _recalled(self, innovations: Tensor) -> Tensor:
        """The vector autoregression, step by step."""
        past = [torch.zeros_like(innovations[:, 0])] * ORDER
        made = []
        for innovation in innovations.unbind(1):
            made.append((innovation + self.memory(torch.cat(past, 1))).clamp(-LARGEST, LARGEST))
            past = [made[-1], *past[:-1]]
        return torch.stack(made, 1)

    def _log_scale(self, states: Tensor, level: Tensor, steps: int) -> Tensor:
        log_scale = self.scale(states).reshape(len(states), -1, self.width)[:, :steps]
        return (log_scale + (level @ self.level.T).unsqueeze(1)).clamp(-8, 4)
