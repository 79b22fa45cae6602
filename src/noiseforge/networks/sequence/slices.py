"""Rows of a batch in slices: small enough for the cache, and one thread to each.

A recurrent layer is a chain of small products. Threads that share each of them wait for each other at every step;
threads that take rows of their own do not. Where the work area of one call stays small it is also not given back to
the system after it, and not asked for anew.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

ROWS = 32
"""In one slice of long series at most."""
WORK = 400_000
"""Numbers of a layer's states, over all steps, up to which a slice of short series may have more rows than that."""

Tensors = tuple[Tensor, ...]
Work = Callable[..., Tensors]
"""Of tensors whose first dimension are the rows, and of weights; gives tensors whose first dimension are the rows."""


def sliced(work: Work, inputs: Sequence[Tensor], weights: Sequence[Tensor], *, states: int) -> Tensors:
    """`work(*inputs)`, slice by slice of the rows, with one gradient for the inputs and the weights.

    Args:
        work: what is done to the rows. It draws nothing at random, and its rows do not depend on each other.
        inputs: tensors of N rows each.
        weights: what `work` depends on beside them, and has gradients.
        states: numbers of a layer's states in one row, over all steps.

    Returns:
        What `work` returns. It has first derivatives only.
    """
    rows = [slice(None)] if inputs[0].device.type != "cpu" else _rows(len(inputs[0]), max(ROWS, WORK // states))
    if len(rows) == 1 and (torch.get_num_threads() == 1 or inputs[0].device.type != "cpu"):
        return work(*inputs)
    if not torch.is_grad_enabled():
        return _together(_apart([partial(work, *(part[each] for part in inputs)) for each in rows], gradients=False))
    return _Slices.apply(work, rows, len(inputs), *inputs, *weights)


class _Slices(torch.autograd.Function):
    """A graph for each slice, made and followed back by the thread that has the slice."""

    @staticmethod
    def forward(ctx: Any, work: Work, rows: list[slice], count: int, *tensors: Tensor) -> Tensors:
        inputs, ctx.weights = tensors[:count], tensors[count:]
        ctx.leaves = [
            [part.detach()[each].requires_grad_(part.requires_grad and part.is_floating_point()) for part in inputs]
            for each in rows
        ]
        ctx.results = _apart([partial(work, *leaves) for leaves in ctx.leaves], gradients=True)
        return _together([tuple(part.detach() for part in result) for result in ctx.results])

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        sizes = [len(leaves[0]) for leaves in ctx.leaves]
        shares = list(zip(*(gradient.split(sizes) for gradient in gradients), strict=True))
        wanted = [part.requires_grad for part in (*ctx.leaves[0], *ctx.weights)]
        made = _apart(
            [
                partial(_gradients, result, [*leaves, *ctx.weights], wanted, share)
                for result, leaves, share in zip(ctx.results, ctx.leaves, shares, strict=True)
            ],
            gradients=False,
        )
        del ctx.results
        count = len(ctx.leaves[0])
        by_tensor = list(zip(*made, strict=True))
        of_inputs = [None if parts[0] is None else torch.cat(parts) for parts in by_tensor[:count]]
        of_weights = [None if parts[0] is None else sum(parts[1:], parts[0]) for parts in by_tensor[count:]]
        return (None, None, None, *of_inputs, *of_weights)


def _gradients(results: Tensors, tensors: list[Tensor], wanted: list[bool], gradients: Tensors) -> list[Tensor | None]:
    """Of the results with respect to the tensors; None where it is not wanted."""
    followed = [(part, gradient) for part, gradient in zip(results, gradients, strict=True) if part.requires_grad]
    outputs, starts = zip(*followed, strict=True)
    chosen = [tensor for tensor, want in zip(tensors, wanted, strict=True) if want]
    found = iter(torch.autograd.grad(outputs, chosen, starts, allow_unused=True, materialize_grads=True))
    return [next(found) if want else None for want in wanted]


def _apart(tasks: Sequence[Callable[[], Any]], *, gradients: bool) -> list[Any]:
    """The results of the tasks, which threads share out; each in the caller's precision."""
    inference, autocast = torch.is_inference_mode_enabled(), torch.is_autocast_enabled("cpu")
    dtype = torch.get_autocast_dtype("cpu")

    def run(task: Callable[[], Any]) -> Any:
        # All of these belong to a thread. Only what autocast keeps of the weights does not: a slice that took what
        # another has made of them would share its graph, and gradients would depend on which of them came first.
        lower = torch.autocast("cpu", dtype, autocast, cache_enabled=False)
        with torch.inference_mode(inference), torch.set_grad_enabled(gradients), lower:
            return task()

    threads = min(torch.get_num_threads(), len(tasks))
    return [run(task) for task in tasks] if threads == 1 else list(_pool(threads).map(run, tasks))


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    """Threads that each compute on one processor."""
    everyone = threading.Barrier(threads + 1)

    def begin() -> None:
        torch.set_num_threads(1)
        torch.get_num_threads()  # who asks for the first time is given the number that was set last, by any thread
        everyone.wait()

    pool = ThreadPoolExecutor(threads, thread_name_prefix="slices", initializer=begin)
    mine = torch.get_num_threads()
    for _ in range(threads):
        pool.submit(int)
    everyone.wait()
    torch.set_num_threads(mine)
    return pool


def _rows(count: int, most: int) -> list[slice]:
    """Slices as equal as can be, of at most so many rows, and as many as there are threads where they are enough."""
    pieces = max(-(-count // most), min(torch.get_num_threads(), max(count // 8, 1)))
    ends = [count * i // pieces for i in range(pieces + 1)]
    return [slice(start, end) for start, end in pairwise(ends)]


def _together(results: Sequence[Tensors]) -> Tensors:
    return tuple(torch.cat(parts) for parts in zip(*results, strict=True))
