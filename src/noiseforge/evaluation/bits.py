"""How well a model of sound predicts held-out clips, in bits for each sample, beside what simple predictors need."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from noiseforge.data.spec import Batch, Data
from noiseforge.data.split import seeded
from noiseforge.evaluation.bootstrap import resampled_interval
from noiseforge.evaluation.figures import Figure
from noiseforge.evaluation.predictors import Predictor, histogram, linear_prediction, markov, uniform
from noiseforge.networks.wavenet.kernel import level
from noiseforge.objectives.mu_law import mu_law_edges

CLIPS = 1_000
"""Held-out clips that are measured, at most, and training clips that the predictors are fitted to."""
TOGETHER = 16
ROUNDED = 20
"""Clips on which bf16 is compared with fp32."""
REPLICATES = 1_000


def bits_figures(
    model: Any, data: Data, *, seed: int = 0, progress: Callable[[float], None] | None = None
) -> tuple[Figure, ...]:
    """Bits per sample of the held-out clips, by the model and by predictors that know no more than the training clips.

    Args:
        model: has `nats(batch)`, `values(x)` and `settings`, as `models.wavenet.WaveNet` has.
        data: of sound; conditions are the clips' own labels, speakers and durations.
        seed: of the choice of clips and of the intervals.
        progress: called with the share that is done.
    """
    order = torch.randperm(len(data.test), generator=seeded(seed, "bits"))[:CLIPS]
    spent, lengths, batches = [], [], []
    for done, rows in enumerate(order.split(TOGETHER)):
        batch = data.test.batch(rows)
        spent.append(model.nats(batch).double().sum(1) / math.log(2))
        lengths.append(_lengths(batch))
        batches.append(batch)
        if progress:
            progress(done * TOGETHER / len(order))
    length = torch.cat(lengths)
    known = ", ".join(model.settings.condition_on) or "nothing"
    note = f"{int(length.sum()):,} samples; given {known}; {_by_condition(torch.cat(spent), length, batches, data)}"
    figures = [_figure("bits_per_sample", torch.cat(spent), length, seed, note.rstrip("; "))]
    for name, predictor in _predictors(model, data, seed).items():
        bits = torch.tensor([float(predictor(clip).sum()) for batch in batches for clip in _clips(batch)])
        figures.append(_figure(f"bits_{name}", bits, length, seed, "a predictor to beat"))
    return tuple(figures)


def rounding_figures(model: Any, data: Data, *, seed: int = 0) -> tuple[Figure, ...]:
    """What generation in bf16 changes on held-out clips: the likeliest value, and the bits; nothing without a kernel.

    Args:
        model: has `stepped(batch, path=, precision=)` and `negative_log_likelihood` as `models.wavenet.WaveNet` has.
        data: of sound.
        seed: of the choice of clips.
    """
    if level() is None or model.continuous:
        return ()
    order = torch.randperm(len(data.test), generator=seeded(seed, "bits"))[:ROUNDED]
    batch = data.test.batch(order)
    length = _lengths(batch)
    known = torch.arange(batch.x.shape[-1]) < length[:, None]
    exact, rounded = (model.stepped(batch, path="kernel", precision=kind) for kind in ("fp32", "bf16"))
    same = (exact.argmax(2) == rounded.argmax(2))[known].double()
    values = model.values(batch.x[:, 0])
    costs = [model.negative_log_likelihood(part, values)[known].double() / math.log(2) for part in (exact, rounded)]
    change = float((costs[1] - costs[0]).mean())
    protocol: dict[str, Any] = {"n_real": len(order), "n_fake": 0, "extractor": "", "seed": seed}
    note = f"{int(length.sum()):,} samples; the kernel's bf16 against its fp32 ({level()})"
    return (
        Figure(metric="bf16_agreement", value=float(same.mean()), better="higher", note=note, **protocol),
        Figure(metric="bf16_bits_change", value=change, better="lower", note=note, **protocol),
    )


def _predictors(model: Any, data: Data, seed: int) -> dict[str, Predictor]:
    levels = model.settings.levels
    chosen = torch.randperm(len(data.train), generator=seeded(seed, "predictors"))[:CLIPS]

    def clips() -> Iterator[Tensor]:
        for rows in chosen.split(TOGETHER):
            yield from _clips(data.train.batch(rows))

    if model.continuous:
        grid = (2 * torch.arange(1, levels, dtype=torch.float64) - 1) / (levels - 1) - 1

        def encode(clip: Tensor) -> Tensor:
            return ((clip.double() + 1) * ((levels - 1) / 2)).round().long().clamp(0, levels - 1)

        return {"uniform": uniform(levels), "linear_prediction": linear_prediction(clips, grid, encode)}
    return {
        "uniform": uniform(levels),
        "histogram": histogram(clips(), model.values, levels),
        "markov": markov(clips(), model.values, levels),
        "linear_prediction": linear_prediction(clips, mu_law_edges(levels), model.values),
    }


def _figure(metric: str, bits: Tensor, length: Tensor, seed: int, note: str) -> Figure:
    """The mean over samples, and its interval when clips are drawn anew."""
    pairs = torch.stack([bits.double(), length.double()], 1)
    value = _mean(pairs)
    draws = seeded(seed, "bits intervals")
    interval = resampled_interval(_mean, pairs, value=value, generator=draws, replicates=REPLICATES)
    low, high = interval if interval else (None, None)
    protocol: dict[str, Any] = {"n_real": len(bits), "n_fake": 0, "extractor": "", "seed": seed, "better": "lower"}
    return Figure(metric=metric, value=value, low=low, high=high, note=note, **protocol)


def _mean(pairs: Tensor) -> float:
    bits, samples = pairs.sum(0).tolist()
    return bits / samples


def _by_condition(bits: Tensor, length: Tensor, batches: list[Batch], data: Data) -> str:
    """The bits of each label and of each speaker, in words."""
    told = []
    kinds = (("label", data.spec.classes, [b.y for b in batches]), ("speaker", data.spec.speakers, _speakers(batches)))
    for kind, names, parts in kinds:
        if names and all(part is not None for part in parts):
            index = torch.cat([part for part in parts if part is not None])
            each = [
                f"{name} {float(bits[index == i].sum() / length[index == i].sum()):.2f}"
                for i, name in enumerate(names)
                if bool((index == i).any())
            ]
            told.append(f"by {kind}: {', '.join(each)}")
    return "; ".join(told)


def _speakers(batches: list[Batch]) -> list[Tensor | None]:
    return [batch.condition for batch in batches]


def _clips(batch: Batch) -> Iterator[Tensor]:
    """Each clip (T,) at its true length."""
    for x, length in zip(batch.x[:, 0], _lengths(batch).tolist(), strict=True):
        yield x[:length]


def _lengths(batch: Batch) -> Tensor:
    return batch.length if batch.length is not None else torch.full((len(batch.x),), batch.x.shape[-1])
