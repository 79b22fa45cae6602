"""Streams of any length from a causal network, in constant memory."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from functools import cache

import torch
from torch import Tensor

from noiseforge.errors import UserError, unknown
from noiseforge.networks.wavenet.draw import check_drawing
from noiseforge.networks.wavenet.kernel import PRECISIONS, Kernel, level
from noiseforge.networks.wavenet.naive import Naive
from noiseforge.networks.wavenet.queues import Queues
from noiseforge.networks.wavenet.stepper import Stepper
from noiseforge.networks.wavenet.weights import Weights

log = logging.getLogger(__name__)

PATHS = ("auto", "kernel", "naive", "queues")

Condition = Tensor | Callable[[int, int], Tensor]


def stepper(
    weights: Weights,
    n: int,
    *,
    path: str = "auto",
    precision: str = "fp32",
    threads: int = 1,
    start: float | None = None,
) -> Stepper:
    """The stepper of `n` streams that a path names; `auto` is the kernel where it is there, else the queues.

    Args:
        weights: of the network, float32 on the CPU.
        n: streams.
        path: auto, kernel, queues or naive.
        precision: fp32, or bf16 with the kernel; `auto` without a kernel computes in fp32 and says so.
        threads: of the kernel, shared out over streams.
        start: the value before the first; without it the middle code, or 0.

    Raises:
        UserError: an unknown path or precision; bf16 on a path that has none; the kernel where there is none.
    """
    if path not in PATHS:
        raise unknown("path", path, PATHS)
    if precision not in PRECISIONS:
        raise unknown("precision", precision, PRECISIONS)
    if path == "auto":
        path = "queues" if level() is None else "kernel"
        _say(way(precision))
        precision = precision if path == "kernel" else "fp32"
    if path == "kernel":
        return Kernel(weights, n, start=start, precision=precision, threads=threads)
    if precision != "fp32":
        raise UserError(f"path {path} computes in fp32, got precision {precision}; only the kernel has others")
    return Naive(weights, n, start=start) if path == "naive" else Queues(weights, n, start=start)


def way(precision: str = "fp32") -> str:
    """What path `auto` takes here and now, in words for people."""
    instructions = level()
    if instructions is None:
        return "torch queues (fp32): the compiled kernel is not built here or is turned off"
    if precision == "fp32":
        instructions = instructions.removesuffix("bf16")
    return f"the compiled kernel ({instructions}, {precision})"


def generate(
    weights: Weights,
    n: int,
    steps: int | None,
    generator: torch.Generator | Sequence[torch.Generator],
    *,
    condition: Condition | None = None,
    prefix: Tensor | None = None,
    temperature: float = 1.0,
    nucleus: float = 1.0,
    path: str = "auto",
    precision: str = "fp32",
    threads: int = 1,
    start: float | None = None,
    chunk: int = 4000,
    progress: Callable[[int], None] | None = None,
) -> Iterator[Tensor]:
    """Draws `n` streams, a piece at a time; what has been given away is not kept.

    Each stream has a generator of its own, seeded by `generator` in the order of the streams: a stream depends neither
    on how many there are nor on the size of the pieces.

    Args:
        weights: of the network, float32 on the CPU.
        n: streams.
        steps: values of each stream; None is without end.
        generator: what seeds the streams; or one generator for each of them.
        condition: (n, T or 1, layers, gate) as `CausalNetwork.condition` gives, or a function of (start, stop) that
            gives such of those moments. Moments count from the first value of the prefix, or the first that is drawn
            where there is none.
        prefix: (n, p) values that the streams have heard before; they are not given back.
        temperature: as in `draw`.
        nucleus: as in `draw`.
        path: as in `stepper`.
        precision: as in `stepper`.
        threads: as in `stepper`.
        start: as in `stepper`.
        chunk: values of each stream in a piece.
        progress: is called with the values of a stream that are drawn so far, after each piece.

    Yields:
        (n, k) with k = `chunk`, or fewer in the last piece: int64 codes or float32.

    Raises:
        UserError: what is asked for does not fit together, before anything is drawn.
    """
    if chunk < 1 or (steps is not None and steps < 0):
        raise UserError(f"a piece has at least one value and there are 0 or more steps, got {chunk} and {steps}")
    check_drawing(temperature, nucleus, continuous=weights.continuous)
    sources = stream_generators(n, generator) if isinstance(generator, torch.Generator) else list(generator)
    if len(sources) != n:
        raise UserError(f"each of the {n} streams needs a generator of its own, got {len(sources)}")
    runner = stepper(weights, n, path=path, precision=precision, threads=threads, start=start)
    heard = 0 if prefix is None else prefix.shape[-1]
    if isinstance(condition, Tensor) and condition.dim() == 4 and condition.shape[1] not in (1, heard + (steps or 0)):
        raise UserError(
            f"a condition needs 1 moment or those of the prefix and of all steps, {heard} + {steps}, "
            f"got {condition.shape[1]}"
        )
    if prefix is not None:
        for begin in range(0, heard, chunk):
            end = min(begin + chunk, heard)
            runner.prime(prefix[:, begin:end], _told(condition, begin, end))
    return _pieces(runner, steps, heard, sources, condition, chunk, progress, temperature, nucleus)


def _pieces(
    runner: Stepper,
    steps: int | None,
    heard: int,
    sources: list[torch.Generator],
    condition: Condition | None,
    chunk: int,
    progress: Callable[[int], None] | None,
    temperature: float,
    nucleus: float,
) -> Iterator[Tensor]:
    done = 0
    while steps is None or done < steps:
        k = chunk if steps is None else min(chunk, steps - done)
        uniforms = torch.stack([torch.rand(k, 2, generator=source, dtype=torch.float64) for source in sources])
        told = _told(condition, heard + done, heard + done + k)
        values = runner.advance(uniforms, told, temperature=temperature, nucleus=nucleus)
        done += k
        if progress is not None:
            progress(done)
        yield values


def stream_generators(n: int, generator: torch.Generator) -> list[torch.Generator]:
    """A generator for each stream; their seeds are drawn one by one, so that none depends on how many follow."""
    seeds = [int(torch.randint(2**62, (), generator=generator, device=generator.device)) for _ in range(n)]
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def _told(condition: Condition | None, begin: int, end: int) -> Tensor | None:
    """The condition of the moments from `begin` to `end`."""
    if condition is None:
        return None
    if isinstance(condition, Tensor):
        return condition if condition.dim() != 4 or condition.shape[1] == 1 else condition[:, begin:end]
    return condition(begin, end)


@cache
def _say(chosen: str) -> None:
    """Says once what generates."""
    log.info("WaveNet generates with %s", chosen)
