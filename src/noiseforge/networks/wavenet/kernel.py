"""The same step in C++, compiled for several processors at once: the weights are read once a sample, and little else.

The library is an optional part of an installation. `NOISEFORGE_KERNEL` limits what is used of it: `portable`, `avx2`,
`avx512` (without its bfloat16 instructions), or `none`.
"""

from __future__ import annotations

import ctypes
import logging
import os
import time
from collections.abc import Iterator
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import pad

from noiseforge.errors import UserError, unknown
from noiseforge.networks.wavenet.queues import ring_lengths
from noiseforge.networks.wavenet.stepper import ROOT_HALF, Stepper
from noiseforge.networks.wavenet.weights import Weights

log = logging.getLogger(__name__)

LIMIT = "NOISEFORGE_KERNEL"
LEVELS = ("portable", "avx2", "avx512", "avx512bf16")
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}
VERSION = 1
PADDING = 16
PANEL = 8


class _Matrix(ctypes.Structure):
    _fields_ = (
        ("bias", ctypes.c_void_p),
        ("weights", ctypes.c_void_p),
        ("rows", ctypes.c_int64),
        ("columns", ctypes.c_int64),
    )


class _Model(ctypes.Structure):
    _fields_ = (
        *(
            (name, ctypes.c_int64)
            for name in ("layers", "taps", "residual", "half", "channels", "outputs", "levels", "brain")
        ),
        *((name, ctypes.c_void_p) for name in ("dilations", "first", "matrices")),
    )


class _Job(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_int64) for name in ("streams", "steps", "time", "threads", "told")),
        *(
            (name, ctypes.c_void_p)
            for name in ("signals", "last", "given", "uniforms", "condition", "drawn", "parameters")
        ),
        *((name, ctypes.c_double) for name in ("temperature", "nucleus")),
    )


@cache
def _library() -> ctypes.CDLL | None:
    """The compiled kernel beside this file, if there is one of this version."""
    for suffix in EXTENSION_SUFFIXES:
        path = Path(__file__).with_name(f"_kernel{suffix}")
        if not path.exists():
            continue
        try:
            library = ctypes.CDLL(str(path))
            version = library.noiseforge_version()
        except (OSError, AttributeError) as error:
            log.warning("the WaveNet kernel %s cannot be loaded (%s); torch generates instead", path.name, error)
            return None
        if version != VERSION:
            log.warning("the WaveNet kernel %s is of another version; install noiseforge again", path.name)
            return None
        library.noiseforge_read.restype = ctypes.c_float
        return library
    return None


def level() -> str | None:
    """The instructions that the kernel would use here and now; None where there is no kernel.

    Raises:
        UserError: NOISEFORGE_KERNEL names none.
    """
    limit = os.environ.get(LIMIT) or LEVELS[-1]
    if limit not in (*LEVELS, "none"):
        raise unknown(LIMIT, limit, (*LEVELS, "none"))
    library = _library()
    if library is None or limit == "none":
        return None
    return LEVELS[min(library.noiseforge_level(), LEVELS.index(limit))]


class Kernel(Stepper):
    """The compiled step. Its state fits that of `Queues`; in bf16 it is rounded.

    Args:
        weights: of the network, float32 on the CPU.
        n: streams.
        start: as in `Stepper`.
        precision: of weights and of what enters a product, fp32 or bf16; sums are of float32 in either.
        threads: over which streams are shared out; one stream never uses more than one.

    Raises:
        UserError: there is no kernel here; a precision or a number of threads that does not exist.
    """

    def __init__(
        self, weights: Weights, n: int, *, start: float | None = None, precision: str = "fp32", threads: int = 1
    ) -> None:
        super().__init__(weights, n, start=start)
        if precision not in PRECISIONS:
            raise unknown("precision", precision, PRECISIONS)
        if threads < 1:
            raise UserError(f"at least one thread is needed, got {threads}")
        library, chosen = _library(), level()
        if library is None or chosen is None:
            raise UserError(
                "the WaveNet kernel is not built here or NOISEFORGE_KERNEL is none; generate with path queues, "
                "or install noiseforge where there is a C++ compiler"
            )
        self._library, self._level, self._threads = library, LEVELS.index(chosen), threads
        self._residual = weights.first.shape[1]
        self._time = torch.zeros((), dtype=torch.int64)
        self._signals = torch.zeros(n, sum(ring_lengths(weights)), _padded(self._residual), dtype=PRECISIONS[precision])
        self._pack(PRECISIONS[precision])

    def read_seconds(self, repeats: int) -> float:
        """Seconds of reading all weights once, the mean of `repeats`: no step in one thread can be faster."""
        block = self._held[0]
        arguments = ctypes.c_void_p(block.data_ptr()), ctypes.c_int64(block.nbytes // 512 * 128), self._level
        began = time.perf_counter()
        for _ in range(repeats):
            self._library.noiseforge_read(*arguments)
        return (time.perf_counter() - began) / repeats

    def _draw(
        self, values: Tensor, uniforms: Tensor, condition: Tensor | None, temperature: float, nucleus: float
    ) -> None:
        given = {"uniforms": uniforms, "condition": condition, "drawn": values}
        self._run(values.shape[1], given, temperature=temperature, nucleus=nucleus)

    def _hear(self, values: Tensor, condition: Tensor | None, outputs: Tensor | None) -> None:
        self._run(values.shape[1], {"given": values, "condition": condition, "parameters": outputs})

    def _state(self) -> dict[str, Tensor]:
        return {"last": self.last, "time": self._time, "signals": self._signals[..., : self._residual].float()}

    def _load(self, state: dict[str, Tensor]) -> None:
        self.last, self._time = state["last"], state["time"]
        self._signals[..., : self._residual] = state["signals"]

    def _run(self, steps: int, tensors: dict[str, Tensor | None], **drawing: float) -> None:
        """Hands the addresses of all tensors to the kernel, which is done with them when this returns."""
        condition = tensors["condition"]
        held = {"signals": self._signals, "last": self.last, **tensors}
        job = _Job(
            streams=self.n,
            steps=steps,
            time=int(self._time),
            threads=self._threads,
            told=1 if condition is None else condition.shape[1],
            **{name: tensor.data_ptr() for name, tensor in held.items() if tensor is not None},
            **drawing,
        )
        if self._library.noiseforge_run(ctypes.byref(self._model), ctypes.byref(job), self._level):
            raise MemoryError("the WaveNet kernel found no memory for its workspace")
        self._time += steps

    def _pack(self, dtype: torch.dtype) -> None:
        """Lays the weights out in the order in which a step reads them, in one block."""
        weights, vector = self.weights, self._library.noiseforge_lanes(self._level)
        table = (_Matrix * (len(weights.dilations) * (weights.kernel + 1) + 3))()
        pieces, offsets, size = [], [], 0
        for place, weight, bias in _in_order(weights):
            offsets.append((place, size, size + bias.nbytes))
            table[place].rows, table[place].columns = weight.shape
            pieces += [_bytes(bias), _panels(weight, vector, dtype)]
            size += bias.nbytes + weight.numel() * dtype.itemsize
        block = torch.cat(pieces)
        for place, bias_at, weight_at in offsets:
            table[place].bias, table[place].weights = block.data_ptr() + bias_at, block.data_ptr() + weight_at
        first = pad(weights.first, (0, _padded(self._residual) - self._residual)).contiguous()
        dilations = torch.tensor(weights.dilations)
        self._held = (block, table, first, dilations)
        half = len(self.weights.gates[0]) // 2
        self._model = _Model(
            layers=len(self.weights.dilations),
            taps=self.weights.kernel,
            residual=_padded(self._residual),
            half=_padded(half),
            channels=half,
            outputs=len(self.weights.output),
            levels=self.levels,
            brain=dtype == torch.bfloat16,
            dilations=dilations.data_ptr(),
            first=first.data_ptr(),
            matrices=ctypes.addressof(table),
        )


def _padded(width: int) -> int:
    return -(-width // PADDING) * PADDING


def _in_order(weights: Weights) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Place in the kernel's table, weights and biases, in the order in which a step reads them.

    Every width is padded to a multiple of 16: what is added is 0 and stays 0. √½ is in the weights of the residual
    path already. Of a layer's taps the first has the bias.
    """
    residual, half = weights.first.shape[1], len(weights.gates[0]) // 2
    layers, taps, skip = len(weights.dilations), weights.kernel, len(weights.skips)

    def tap(layer: int, index: int) -> tuple[int, Tensor, Tensor]:
        weight = weights.gates[layer].unflatten(1, (taps, residual))[:, index]
        padded, bias = _blocks(weight, weights.gate_biases[layer], (2, half), (1, residual))
        return layer * (taps + 1) + index, padded, bias if index == 0 else bias[:0]

    for layer in range(layers + 1):
        if layer < layers:
            yield from (tap(layer, index) for index in range(taps - 1))
        if 0 < layer < layers:
            change = weights.residuals[layer - 1] * ROOT_HALF, weights.residual_biases[layer - 1] * ROOT_HALF
            yield layer * (taps + 1) - 1, *_blocks(*change, (1, residual), (1, half))
        if layer < layers:
            yield tap(layer, taps - 1)
    head = layers * (taps + 1)
    yield head, *_blocks(weights.skips, weights.skip_bias, (1, skip), (layers, half))
    yield head + 1, *_blocks(weights.hidden, weights.hidden_bias, (1, skip), (1, skip))
    yield head + 2, *_blocks(weights.output, weights.output_bias, (1, len(weights.output)), (1, skip))


def _blocks(weight: Tensor, bias: Tensor, rows: tuple[int, int], columns: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Pads each of the (count, width) blocks of rows and of columns on its own."""
    more_rows, more_columns = _padded(rows[1]) - rows[1], _padded(columns[1]) - columns[1]
    split = weight.unflatten(0, rows).unflatten(2, columns)
    padded = pad(split, (0, more_columns, 0, 0, 0, more_rows)).flatten(2).flatten(0, 1)
    return padded, pad(bias.unflatten(0, rows), (0, more_rows)).flatten()


def _panels(weight: Tensor, vector: int, dtype: torch.dtype) -> Tensor:
    """(rows, columns) as bytes: panels of up to 8 vectors of rows, in each unit by unit all rows.

    A unit is a column of float32 or a pair of columns of bfloat16.
    """
    unit = 4 // dtype.itemsize
    panels = weight.to(dtype).split(PANEL * vector)
    return torch.cat([_bytes(panel.unflatten(1, (-1, unit)).transpose(0, 1)) for panel in panels])


def _bytes(tensor: Tensor) -> Tensor:
    return tensor.contiguous().flatten().view(torch.uint8)
