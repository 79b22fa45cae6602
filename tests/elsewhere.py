"""A device made of the processor, on which to see without an accelerator whether code keeps to the device it was given.

Its tensors refuse to meet those of the processor, as those of any accelerator do, and none is of float64, as with
Apple's. Once installed it stays, and is the accelerator that `auto` takes: for a process of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, library
from torch.utils import backend_registration
from torch.utils._mode_utils import no_dispatch
from torch.utils._pytree import tree_leaves, tree_map

ATEN, PROCESSORS = torch.ops.aten, torch.Generator
NAME = "elsewhere"
PORTABLE = hasattr(backend_registration, "_setup_privateuseone_for_python_backend")
"""Whether this torch lets a device be written in Python."""
ANYTHING, SOME = library.Library("_", "IMPL"), library.Library("aten", "IMPL")
"""What torch is told of the device, for as long as these are there."""
CROSSING = {ATEN._to_copy.default, ATEN.copy_.default, ATEN._local_scalar_dense.default}
"""What goes from one device to another."""
INDEXING = {"index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index", "_unsafe_index_put"}
"""What takes its indices from the processor too."""


class Elsewhere(Tensor):
    """A tensor of the device; `raw` is what it stands for."""

    raw: Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, raw: Tensor) -> Elsewhere:
        if raw.dtype == torch.float64:
            raise TypeError(f"{NAME} has no float64")
        layout = {"strides": raw.stride(), "storage_offset": raw.storage_offset(), "dtype": raw.dtype}
        made = Tensor._make_wrapper_subclass(cls, raw.size(), device=torch.device(NAME, 0), **layout)
        made.raw = raw
        return made

    def tolist(self) -> Any:
        return self.raw.tolist()

    def __repr__(self) -> str:
        return f"Elsewhere({self.raw!r})"

    @classmethod
    def __torch_dispatch__(cls, op: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        return computed(op, args, kwargs or {})


def computed(op: Any, args: tuple, kwargs: dict) -> Any:
    """What the op makes of tensors of this device, or of none at all for it.

    Raises:
        RuntimeError: tensors of two devices meet.
    """
    tensors = [each for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor)]
    _refuse_others(op, args, tensors)
    wanted = kwargs.get("device")
    if op is ATEN.copy_.default:
        away = isinstance(args[0], Elsewhere)
    elif wanted is not None:
        away = torch.device(wanted).type == NAME
    else:
        away = any(isinstance(each, Elsewhere) for each in tensors)
    known = {id(each.raw): each for each in tensors if isinstance(each, Elsewhere)}

    def wrapped(made: Any) -> Any:
        if not isinstance(made, Tensor) or isinstance(made, Elsewhere) or not away:
            return made
        return known[id(made)] if id(made) in known else Elsewhere(made)

    options = {**kwargs, "device": torch.device("cpu")} if wanted is not None and away else kwargs
    plain = tree_map(lambda each: each.raw if isinstance(each, Elsewhere) else each, (args, options))
    made = FUSED.get(op, op)(*plain[0], **plain[1])
    if torch.Tag.inplace_view in op.tags and isinstance(args[0], Elsewhere):
        with no_dispatch():
            op(*args, **kwargs)
    return tree_map(wrapped, made)


def _refuse_others(op: Any, args: tuple, tensors: list[Tensor]) -> None:
    ours = [each for each in tensors if isinstance(each, Elsewhere)]
    others = [each for each in tensors if not isinstance(each, Elsewhere) and each.dim()]
    if op._schema.name.removeprefix("aten::") in INDEXING and isinstance(args[0], Elsewhere):
        others = []
    if ours and others and op not in CROSSING:
        raise RuntimeError(f"{op}: tensors of {NAME} and cpu meet, the latter of shape {tuple(others[0].shape)}")


class Generator(PROCESSORS):
    """In place of torch's: of this device, where it is asked for."""

    def __new__(cls, device: Any = "cpu") -> torch.Generator:
        return super().__new__(cls) if torch.device(device).type == NAME else PROCESSORS(device)

    @property
    def device(self) -> torch.device:
        return torch.device(NAME, 0)


def _enter(mode: Any) -> None:
    """In place of inference mode's own: that knows no tensors made in Python."""
    mode.before = torch.is_grad_enabled()
    torch.set_grad_enabled(mode.before and not mode.mode)


def _leave(mode: Any, *error: object) -> None:
    torch.set_grad_enabled(mode.before)


class Module(backend_registration._DummyBackendModule):
    """What `torch.elsewhere` has to offer."""

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16]

    def synchronize(self, device: object = None) -> None:
        pass


def install() -> None:
    """Makes the device known to torch."""
    backend_registration._setup_privateuseone_for_python_backend(NAME, backend_module=Module())
    ANYTHING.fallback(lambda op, *args, **kwargs: computed(op, args, kwargs), "PrivateUse1")
    for op in (ATEN.empty_strided.default, ATEN.empty.memory_format, ATEN.copy_.default):  # torch calls these itself
        SOME.impl(op, _kernel(op), "PrivateUse1")
    torch.Generator = Generator
    torch.inference_mode.__enter__, torch.inference_mode.__exit__ = _enter, _leave


def _kernel(op: Any) -> Callable[..., Any]:
    return lambda *args, **kwargs: computed(op, args, kwargs)


# Cells that torch has for accelerators alone.


def _gru(inputs: Tensor, states: Tensor, h: Tensor, *biases: Tensor) -> tuple[Tensor, Tensor]:
    inputs, states = (part + bias for part, bias in zip((inputs, states), biases, strict=True))
    (of_r, of_z, of_n), (by_r, by_z, by_n) = inputs.chunk(3, 1), states.chunk(3, 1)
    r, z = (of_r + by_r).sigmoid(), (of_z + by_z).sigmoid()
    n = (of_n + r * by_n).tanh()
    return n + z * (h - n), torch.cat([r, z, n, h, by_n], 1)


def _gru_backward(gradient: Tensor, kept: Tensor, biases: bool) -> tuple[Tensor, ...]:
    r, z, n, h, by_n = kept.chunk(5, 1)
    to_z, to_n = gradient * (h - n) * z * (1 - z), gradient * (1 - z) * (1 - n * n)
    to_r = to_n * by_n * r * (1 - r)
    inputs, states = torch.cat([to_r, to_z, to_n], 1), torch.cat([to_r, to_z, to_n * r], 1)
    return inputs, states, gradient * z, inputs.sum(0), states.sum(0)


def _lstm(inputs: Tensor, states: Tensor, c: Tensor, *biases: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    i, f, g, o = sum(biases, inputs + states).chunk(4, 1)
    i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
    new = f * c + i * g
    return o * new.tanh(), new, torch.cat([i, f, g, o], 1)


def _lstm_backward(
    to_h: Tensor | None, to_c: Tensor | None, c: Tensor, new: Tensor, kept: Tensor, biases: bool
) -> tuple[Tensor, Tensor, Tensor]:
    i, f, g, o = kept.chunk(4, 1)
    to_h, to_c = (torch.zeros_like(c) if each is None else each for each in (to_h, to_c))
    to_new = to_c + to_h * o * (1 - new.tanh() ** 2)
    to_i, to_f, to_g = to_new * g * i * (1 - i), to_new * c * f * (1 - f), to_new * i * (1 - g * g)
    gates = torch.cat([to_i, to_f, to_g, to_h * new.tanh() * o * (1 - o)], 1)
    return gates, to_new * f, gates.sum(0)


FUSED = {
    ATEN._thnn_fused_gru_cell.default: _gru,
    ATEN._thnn_fused_gru_cell_backward.default: _gru_backward,
    ATEN._thnn_fused_lstm_cell.default: _lstm,
    ATEN._thnn_fused_lstm_cell_backward_impl.default: _lstm_backward,
}
