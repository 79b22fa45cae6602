"""What all ways to run a causal network a sample at a time have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from noiseforge.errors import Diverged, UserError
from noiseforge.networks.wavenet.draw import check_drawing
from noiseforge.networks.wavenet.weights import Weights

ROOT_HALF = 0.5**0.5


class Stepper(ABC):
    """A network at work on `n` streams, each of which remembers what it has heard.

    What every way to run it must give is what `Weights` describes; they differ in speed alone. Whatever comes from
    outside is checked here, before any arithmetic.

    Args:
        weights: of the network, float32 on the CPU.
        n: streams, which know nothing of each other.
        start: the value before the first; without it the middle code, or 0.

    Raises:
        UserError: weights do not fit together.
        Diverged: a weight is not finite.
    """

    def __init__(self, weights: Weights, n: int, *, start: float | None = None) -> None:
        check_weights(weights)
        if n < 1:
            raise UserError(f"at least one stream is needed, got {n}")
        self.weights, self.n = weights, n
        self.levels = 0 if weights.continuous else len(weights.first)
        self.kind = torch.float32 if weights.continuous else torch.int64
        self.last = torch.full((n,), self.levels // 2 if start is None else start, dtype=self.kind)
        self._check_values(self.last, "a start value")

    @property
    def receptive_field(self) -> int:
        """Samples that the parameters of one have seen."""
        return (self.weights.kernel - 1) * sum(self.weights.dilations) + 1

    def advance(
        self, uniforms: Tensor, condition: Tensor | None = None, *, temperature: float = 1.0, nucleus: float = 1.0
    ) -> Tensor:
        """Draws the next k values of each stream; the last of them is the next input.

        Args:
            uniforms: (n, k, 2) in [0, 1], what `draw` uses of each value.
            condition: (n, k, layers, gate), or (n, 1, layers, gate) where it stays the same.
            temperature: as in `draw`.
            nucleus: as in `draw`.

        Returns:
            (n, k): int64 codes or float32.

        Raises:
            UserError: a shape or a number is not as above.
        """
        check_drawing(temperature, nucleus, continuous=self.weights.continuous)
        if uniforms.dim() != 3 or len(uniforms) != self.n or uniforms.shape[2] != 2:
            raise UserError(f"uniforms must be ({self.n}, k, 2), two for each value, got {tuple(uniforms.shape)}")
        if uniforms.numel() and not (uniforms.min() >= 0 and uniforms.max() <= 1):
            raise UserError("uniforms must be numbers from 0 to 1; torch.rand gives such")
        condition = self._checked_condition(condition, uniforms.shape[1])
        values = torch.empty(uniforms.shape[:2], dtype=self.kind)
        with _quietly():
            self._draw(values, uniforms.double().contiguous(), condition, temperature, nucleus)
        return values

    def prime(self, values: Tensor, condition: Tensor | None = None) -> None:
        """Lets the streams hear `values` (n, p) as if they had drawn them.

        Raises:
            UserError: a shape or a value does not fit.
        """
        self._force(values, condition, None)

    def parameters(self, values: Tensor, condition: Tensor | None = None) -> Tensor:
        """Like `prime`, and gives the parameters (n, p, outputs) of each value's distribution before it was heard."""
        outputs = torch.empty(*values.shape, len(self.weights.output))
        self._force(values, condition, outputs)
        return outputs

    def state(self) -> dict[str, Tensor]:
        """All that the streams remember, apart from the weights: a copy, which `load_state` takes back."""
        return {name: tensor.clone() for name, tensor in self._state().items()}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Goes on from where `state` was taken.

        Raises:
            UserError: it is of another network, of another number of streams, or of another kind of stepper.
        """
        expected = self._state()
        for name in expected.keys() | state.keys():
            if name not in expected or name not in state or not self._fits(state[name], expected[name], name):
                came = tuple(state[name].shape) if name in state else "none"
                wanted = tuple(expected[name].shape) if name in expected else "none"
                raise UserError(
                    f"the state's {name!r} must be {wanted}, got {came}; "
                    "load it with the weights, the path and the number of streams that it was taken from"
                )
        self._check_values(state["last"], "the last value")
        if int(state.get("time", 0)) < 0:
            raise UserError(f"the state's 'time' is a number of samples, 0 or more, got {int(state['time'])}")
        self._load({name: tensor.clone() for name, tensor in state.items()})

    @abstractmethod
    def _draw(
        self, values: Tensor, uniforms: Tensor, condition: Tensor | None, temperature: float, nucleus: float
    ) -> None:
        """Fills `values` with draws."""

    @abstractmethod
    def _hear(self, values: Tensor, condition: Tensor | None, outputs: Tensor | None) -> None:
        """Takes `values` as the next ones and fills `outputs` with the parameters of each."""

    @abstractmethod
    def _state(self) -> dict[str, Tensor]:
        """What the streams remember, "last" among it."""

    @abstractmethod
    def _load(self, state: dict[str, Tensor]) -> None:
        """Takes a state that has been checked."""

    def _fits(self, came: Tensor, expected: Tensor, name: str) -> bool:
        return came.shape == expected.shape and came.dtype == expected.dtype

    def _force(self, values: Tensor, condition: Tensor | None, outputs: Tensor | None) -> None:
        if values.dim() != 2 or len(values) != self.n:
            raise UserError(f"values must be ({self.n}, p), a row for each stream, got {tuple(values.shape)}")
        self._check_values(values, "values")
        condition = self._checked_condition(condition, values.shape[1])
        with _quietly():
            self._hear(values.contiguous(), condition, outputs)

    def _check_values(self, values: Tensor, what: str) -> None:
        if values.dtype != self.kind:
            raise UserError(f"{what} must be of {self.kind} for this network, got {values.dtype}")
        if self.levels and values.numel() and not (values.min() >= 0 and values.max() < self.levels):
            raise UserError(
                f"{what} must be codes from 0 to {self.levels - 1}, got {int(values.min())} to {int(values.max())}"
            )
        if not self.levels and not values.isfinite().all():
            raise UserError(f"{what} must be finite, got NaN or infinity; look at where they come from")

    def _checked_condition(self, condition: Tensor | None, steps: int) -> Tensor | None:
        if condition is None:
            return None
        layers, gate = len(self.weights.dilations), len(self.weights.gates[0])
        if condition.shape not in ((self.n, steps, layers, gate), (self.n, 1, layers, gate)):
            raise UserError(
                f"a condition must be ({self.n}, {steps} or 1, {layers}, {gate}), which CausalNetwork.condition gives, "
                f"got {tuple(condition.shape)}"
            )
        # One sum is cheaper than a look at each number, and NaN or infinity stays in it.
        if not condition.sum().isfinite():
            raise UserError("a condition must be finite, got NaN or infinity; look at where it comes from")
        return condition.detach().float().contiguous()


def check_weights(weights: Weights) -> None:
    """Raises UserError unless the weights fit together, and Diverged unless all are finite."""
    layers, residual = len(weights.dilations), weights.first.shape[1]
    gate, skip, outputs = len(weights.gates[0]), len(weights.skips), len(weights.output)
    half = gate // 2
    expected: dict[str, list[tuple[int, ...]]] = {
        "gates": [(gate, weights.kernel * residual)] * layers,
        "gate_biases": [(gate,)] * layers,
        "residuals": [(residual, half)] * (layers - 1),
        "residual_biases": [(residual,)] * (layers - 1),
        "skips": [(skip, layers * half)],
        "skip_bias": [(skip,)],
        "hidden": [(skip, skip)],
        "hidden_bias": [(skip,)],
        "output": [(outputs, skip)],
        "output_bias": [(outputs,)],
        "first": [(2 if weights.continuous else outputs, residual)],
    }
    for name, shapes in expected.items():
        held = getattr(weights, name)
        tensors = [held] if isinstance(held, Tensor) else list(held)
        if [tuple(tensor.shape) for tensor in tensors] != shapes:
            raise UserError(
                f"the weights {name!r} must be {shapes[0]} in {len(shapes)} tensors; take them from a network"
            )
        if any(tensor.dtype != torch.float32 or tensor.device.type != "cpu" for tensor in tensors):
            raise UserError(f"the weights {name!r} must be float32 on the CPU; CausalNetwork.weights gives them so")
        if not all(tensor.isfinite().all() for tensor in tensors):
            raise Diverged(f"the weights {name!r} hold NaN or infinity; take them from an earlier checkpoint")
    if weights.kernel < 1 or gate % 2 or min(weights.dilations) < 1 or (weights.continuous and outputs % 3):
        raise UserError(
            "a network has 1 tap or more, dilations of 1 or more, an even gate and, of real numbers, 3 outputs for "
            f"each logistic; got {weights.kernel}, {min(weights.dilations)}, {gate} and {outputs}"
        )


@contextmanager
def _quietly() -> Iterator[None]:
    """No gradients, and one thread: handing a step's small products to others costs more than they take."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            yield
    finally:
        torch.set_num_threads(threads)
