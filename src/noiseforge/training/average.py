"""The moving average of weights that sampling uses."""

from __future__ import annotations

import torch
from torch import Tensor, nn

WARM_UP = 0.1
"""While little has been seen, the half-life is this fraction of it, so that the first weights are forgotten."""


class Average:
    """Exponential moving average of a module's parameters and floating buffers, its half-life counted in images.

    Karras et al. (2020), appendix B: beta = 0.5 ** (batch / half-life). Running statistics are averaged too,
    since they belong to the averaged weights. Buffers of integers are copied.
    """

    def __init__(self, module: nn.Module, halflife: float):
        self._live = {**dict(module.named_parameters()), **dict(module.named_buffers())}
        self.halflife = halflife
        self.shadow = {name: tensor.detach().clone() for name, tensor in self._live.items()}

    @torch.no_grad()
    def update(self, images: int, batch: int) -> None:
        """Moves towards the live weights after a round of `batch` images, the `images`-th included."""
        halflife = min(self.halflife, images * WARM_UP)
        keep = 0.5 ** (batch / halflife) if halflife > 0 else 0.0
        floating = [name for name, tensor in self.shadow.items() if tensor.is_floating_point()]
        torch._foreach_lerp_(
            [self.shadow[name] for name in floating], [self._live[name].detach() for name in floating], 1 - keep
        )
        for name in self.shadow.keys() - set(floating):
            self.shadow[name].copy_(self._live[name])

    def swap(self) -> None:
        """Exchanges the module's weights with the averaged ones; a second call undoes it."""
        for name, live in self._live.items():
            live.data, self.shadow[name] = self.shadow[name], live.data

    def state_dict(self) -> dict[str, Tensor]:
        """The averaged tensors by name."""
        return self.shadow

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Takes averaged tensors as `state_dict` gave them."""
        for name, tensor in self.shadow.items():
            tensor.copy_(state[name])
