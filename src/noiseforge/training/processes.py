"""Where a training runs: its device, its precision, and the other processes that share the batch."""

from __future__ import annotations

import atexit
import os
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache

import torch
import torch.distributed as dist
from torch import Tensor, nn

from noiseforge.errors import UserError


def choose_device(name: str) -> torch.device:
    """The device for `auto`, `cpu`, or an accelerator's own name such as `cuda` or `cuda:1`.

    Raises:
        UserError: the name is unknown, or this machine has no such device.
    """
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    if name == "auto":
        return accelerator or torch.device("cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UserError(f"unknown device {name!r}: expected auto, cpu or cuda") from None
    if device.type != "cpu" and (accelerator is None or device.type != accelerator.type):
        raise UserError(f"device {name!r} is not available on this machine: use --device auto or cpu")
    return device


@cache
def computes_in_bf16(device: torch.device) -> bool:
    """Whether the processor multiplies in bf16 by itself, so that bf16 is faster and not an emulation."""
    if device.type == "cpu":
        # oneDNN alone also says yes to processors on which it emulates bf16.
        return torch.cpu._is_avx512_bf16_supported() and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def _leave() -> None:
    """Ends the group before the interpreter: a thread of gloo that frees a tensor later aborts the process."""
    if dist.is_initialized():
        dist.destroy_process_group()


@dataclass(frozen=True)
class Processes:
    """This process among those that train together. With one process every method is free."""

    device: torch.device
    rank: int = 0
    count: int = 1

    @classmethod
    def join(cls, device: str) -> Processes:
        """Joins the processes that `accelerate launch` or torchrun has started; alone without them."""
        chosen = choose_device(device)
        if int(os.environ.get("WORLD_SIZE", "1")) == 1:
            return cls(chosen)
        # Its functions keep the group that is current when it is first imported (torch does so in the first step of an
        # optimizer), and a kept group cannot end.
        import torch.distributed.nn.functional  # noqa: F401
        from accelerate import PartialState

        if not dist.is_initialized():
            atexit.register(_leave)
        state = PartialState(cpu=chosen.type == "cpu")
        return cls(state.device, state.process_index, state.num_processes)

    @property
    def writes(self) -> bool:
        """Whether this is the process that writes the run's files."""
        return self.rank == 0

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replaces each gradient by its mean over the processes, in one exchange.

        Explicit, without a wrapper around the model: penalties differentiate twice, which wrappers forbid.
        """
        if self.count == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([g.reshape(-1) for g in gradients])
        dist.all_reduce(flat)
        flat /= self.count
        parts = flat.split([g.numel() for g in gradients])
        torch._foreach_copy_(gradients, [part.view_as(g) for part, g in zip(parts, gradients, strict=True)])

    def share(self, tensors: Iterable[torch.Tensor]) -> None:
        """Gives every process what the first one has in these: machines round differently."""
        if self.count > 1:
            for tensor in tensors:
                dist.broadcast(tensor, 0)

    def any(self, flag: bool) -> bool:
        """Whether the flag is up in any process."""
        if self.count == 1:
            return flag
        total = torch.tensor(float(flag), device=self.device)
        dist.all_reduce(total)
        return bool(total > 0)

    def wait(self) -> None:
        """Returns once every process has come here."""
        if self.count > 1:
            dist.barrier()

    def own_rows(self, whole: Tensor) -> Tensor:
        """This process's contiguous share of the rows of a batch."""
        return whole if self.count == 1 else whole.chunk(self.count)[self.rank]

    def autocast(self, precision: str) -> AbstractContextManager[object]:
        """The context of `train.precision` for the forward passes.

        Raises:
            UserError: bf16 is asked for and the processor does not compute in it.
        """
        able = computes_in_bf16(self.device)
        if precision == "bf16" and not able:
            raise UserError(f"train.precision=bf16: this {self.device.type} does not compute in bf16; use auto or fp32")
        return torch.autocast(self.device.type, torch.bfloat16, enabled=able and precision != "fp32")
