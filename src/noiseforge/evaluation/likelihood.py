"""Likelihoods of held-out examples: the evidence lower bound in its terms, and the evidence by importance sampling."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from math import log, prod
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from noiseforge.data.spec import Data, Spec
from noiseforge.data.split import seeded
from noiseforge.errors import Diverged, UserError
from noiseforge.evaluation.bootstrap import Interval, normal_interval, resampled_interval
from noiseforge.evaluation.figures import Better, Figure
from noiseforge.objectives.likelihood import bits_per_dimension

Progress = Callable[[float], None]

PIECE = 64
"""Samples whose noise is drawn at once. How a generator's numbers fall depends on it, so it is not to be tuned."""
COPIES = 8
"""Tensors of the size of the decoded samples that are alive at once: hidden layers, logits, terms of the likelihood."""
ACTIVE = 1e-2
"""Variance of a code's mean over the data above which Burda et al. call its unit active."""


class Encoded(Protocol):
    """What q(z|x) of examples is: mean and log-variance, both (N, latent)."""

    @property
    def mean(self) -> Tensor: ...


class LikelihoodModel(Protocol):
    """What a model with a likelihood is asked for here; it need not be of any class."""

    spec: Spec
    classes: int
    """Labels that the model is conditional on, 0 where it is on none."""
    binarises: bool
    discrete: bool
    """Whether the likelihood is a probability of the very values that the data has, so that it has bits."""
    training: bool

    @property
    def settings(self) -> Any:
        """Holds `latent`, the width of the noise."""

    def parameters(self) -> Iterable[Tensor]: ...

    def train(self, mode: bool = True) -> Any: ...

    def encode(self, x: Tensor, y: Tensor | None = None) -> Encoded: ...

    def target(self, x: Tensor, thresholds: Tensor) -> Tensor:
        """What the likelihood is of, (N, *shape): x itself, or x binarised by thresholds uniform in [-1, 1)."""

    def log_weights(self, target: Tensor, y: Tensor | None, noise: Tensor) -> Tensor:
        """log p(x|z) + log p(z) − log q(z|x), (k, N), at z = mean + σ · noise, where noise is (k, N, latent)."""

    def elbo_terms(self, target: Tensor, y: Tensor | None, noise: Tensor) -> dict[str, Tensor]:
        """`reconstruction` (N,) at the one sample of noise (1, N, latent), and `kl` (N, latent) in closed form."""


class Elbo(NamedTuple):
    """The evidence lower bound in its terms, float64, in nats: their difference is the bound."""

    reconstruction: Tensor
    """(N,), log p(x|z) at one sample of q(z|x)."""
    kl: Tensor
    """(N,), KL(q(z|x) ‖ p(z)) in closed form."""
    kl_by_dimension: Tensor
    """(latent,), the mean over the examples of each dimension's share of it."""

    @property
    def bound(self) -> Tensor:
        """(N,), the evidence lower bound."""
        return self.reconstruction - self.kl


def log_likelihood(
    model: LikelihoodModel,
    x: Tensor,
    samples: int,
    *,
    y: Tensor | None = None,
    seed: int = 0,
    memory: int = 64 * 2**20,
    progress: Progress | None = None,
) -> Tensor:
    """log p(x) of each example by importance sampling from q(z|x): (N,) float64 on the CPU, in nats.

    In expectation it is a lower bound, which rises with the number of samples. What is drawn for an example follows
    from the seed and the example alone, so that neither its place, nor its company, nor `memory` changes the answer
    (beyond the rounding of fp32).

    Args:
        model: on any device; it is run in evaluation mode.
        x: (N, *shape) in model units.
        samples: k, exactly as many for each example.
        y: (N,) int64 labels; only of a conditional model.
        seed: of the samples, and of the binarisation where the model binarises.
        memory: bytes that one chunk of examples and samples may take on the device, by a rough account.
        progress: called with the share that is done.

    Raises:
        UserError: no samples, examples unlike the model's, labels missing.
        Diverged: the model gave weights that are not numbers.

    Burda et al. 2016, eq. 8 and section 5 (with k = 5000).
    """
    if samples < 1:
        raise UserError(f"samples must be >= 1, got {samples}; 5000 is what the field reports")
    y = _checked(model, x, y)
    rows = max(memory // (4 * (COPIES * prod(model.spec.shape) + 4 * model.settings.latent)), 1)
    count = max(rows // max(samples, PIECE), 1)
    parts = []
    with _evaluating(model):
        for start in range(0, len(x), count):
            chunk = slice(start, start + count)
            parts.append(_chunk_evidence(model, x[chunk], None if y is None else y[chunk], samples, rows, seed))
            if progress:
                progress(min(start + count, len(x)) / len(x))
    return torch.cat(parts)


def elbo(model: LikelihoodModel, x: Tensor, *, y: Tensor | None = None, seed: int = 0) -> Elbo:
    """The evidence lower bound of each example in its terms, from the first of `log_likelihood`'s samples.

    Args:
        model: on any device; it is run in evaluation mode.
        x: (N, *shape) in model units.
        y: (N,) int64 labels; only of a conditional model.
        seed: of the sample, and of the binarisation where the model binarises.

    Raises:
        UserError: examples unlike the model's, labels missing.
        Diverged: the model gave terms that are not numbers.

    Kingma & Welling 2013, eq. 10.
    """
    y = _checked(model, x, y)
    reconstructions, divergences = [], []
    with _evaluating(model):
        for start in range(0, len(x), PIECE):
            chunk = slice(start, start + PIECE)
            drawn = _Draws(model, x[chunk], seed)
            labels = None if y is None else y[chunk].to(drawn.device)
            terms = model.elbo_terms(drawn.target, labels, drawn.noise(PIECE)[:1])
            reconstructions.append(terms["reconstruction"].cpu().double())
            divergences.append(terms["kl"].cpu().double())
    reconstruction, kl = torch.cat(reconstructions), torch.cat(divergences)
    for name, values in (("log p(x|z)", reconstruction), ("KL of the code", kl)):
        _check_finite(values, name)
    return Elbo(reconstruction, kl.sum(1), kl.mean(0))


def active_units(means: Tensor, threshold: float = ACTIVE) -> int:
    """How many dimensions of the code's mean vary over the data by more than `threshold`.

    Args:
        means: (N, latent), the means of q(z|x) of N examples.
        threshold: a variance.

    Burda et al. 2016, section 5.2.

    >>> active_units(torch.tensor([[-1.0, 0.05, 3.0], [1.0, -0.05, 3.0]]))
    1
    """
    return int((means.double().var(0, correction=0) > threshold).sum())


def likelihood_figures(
    model: LikelihoodModel,
    data: Data,
    *,
    n: int = 1000,
    samples: int = 5000,
    seed: int = 0,
    progress: Progress | None = None,
) -> tuple[Figure, ...]:
    """What a model's likelihood says of random test examples, each figure with its interval and standard error.

    Args:
        model: with a likelihood.
        data: its test examples are looked at. They are drawn at random, for test sets come sorted.
        n: how many, at most.
        samples: of the importance sampling for each.
        seed: of the choice of examples, of all samples and of the binarisation.
        progress: called with the share that is done.

    Returns:
        nll (−log p(x)), elbo, reconstruction and kl in nats, active_units, and where the model's likelihood is of the
        data's own levels bits_per_dimension.

    Raises:
        UserError: fewer than 2 examples or no samples, data unlike the model's.
        Diverged: the model gave what is no number.
    """
    n = min(n, len(data.test))
    if n < 2:
        raise UserError(f"a likelihood with its standard error needs at least 2 test examples, got {n}")
    x, y, *_ = data.test.batch(torch.randperm(len(data.test), generator=seeded(seed, "likelihood"))[:n])
    y = y if model.classes else None
    evidence = log_likelihood(model, x, samples, y=y, seed=seed, progress=progress)
    terms = elbo(model, x, y=y, seed=seed)
    looked_at = f"dynamic binarisation, seed {seed}" if model.binarises else ""
    sampled = f"{samples} importance samples"
    figures = [
        _mean("nll", -evidence, "lower", seed, "nats", sampled, looked_at),
        _mean("elbo", terms.bound, "higher", seed, "nats", "1 sample", looked_at),
        _mean("reconstruction", terms.reconstruction, "higher", seed, "nats", "1 sample", looked_at),
        _mean("kl", terms.kl, "lower", seed, "nats", "closed form", looked_at),
        _active(model.encode(x, y).mean, seed),
    ]
    if model.discrete:
        bits = bits_per_dimension(-evidence, prod(model.spec.shape))
        figures.append(_mean("bits_per_dimension", bits, "lower", seed, "bits", sampled, looked_at))
    return tuple(figures)


class _Draws:
    """All that is random for some examples: what is binarised, then noise, from one generator for each."""

    def __init__(self, model: LikelihoodModel, x: Tensor, seed: int):
        self.device = next(iter(model.parameters())).device
        self.latent = model.settings.latent
        x = x.detach().cpu().float().contiguous() + 0.0  # which turns -0.0 into the 0.0 that it equals
        self.generators = [_generator(seed, example) for example in x]
        thresholds = torch.stack([torch.rand(model.spec.shape, generator=own) * 2 - 1 for own in self.generators])
        self.target = model.target(x.to(self.device), thresholds.to(self.device))

    def noise(self, samples: int) -> Tensor:
        """The next (samples, N, latent) draws of N(0, 1) on the device; samples a multiple of PIECE."""
        drawn = torch.empty(samples, len(self.generators), self.latent)
        for column, own in enumerate(self.generators):
            for piece in drawn[:, column].split(PIECE):
                piece.copy_(torch.randn(PIECE, self.latent, generator=own))
        return drawn.to(self.device)


def _generator(seed: int, example: Tensor) -> torch.Generator:
    digest = hashlib.blake2b(example.numpy().tobytes(), digest_size=8, salt=b"likelihood", key=str(seed).encode())
    return torch.Generator().manual_seed(int.from_bytes(digest.digest(), "big"))


def _chunk_evidence(model: LikelihoodModel, x: Tensor, y: Tensor | None, samples: int, rows: int, seed: int) -> Tensor:
    """log p(x) of a few examples, of which at most `rows` pairs of example and sample are decoded at once."""
    drawn = _Draws(model, x, seed)
    y = None if y is None else y.to(drawn.device)
    at_once = max(rows // len(x), 1)
    stride = min(max(at_once // PIECE, 1), -(-samples // PIECE)) * PIECE
    total = torch.full((len(x),), -torch.inf, dtype=torch.float64)
    for start in range(0, samples, stride):
        for noise in drawn.noise(stride)[: samples - start].split(at_once):
            total = torch.logaddexp(total, model.log_weights(drawn.target, y, noise).cpu().double().logsumexp(0))
    evidence = total - log(samples)
    _check_finite(evidence, "log p(x)")
    return evidence


def _mean(metric: str, values: Tensor, better: Better, seed: int, *notes: str) -> Figure:
    error = float(values.std() / len(values) ** 0.5)
    value = float(values.mean())
    interval = normal_interval(value, error)
    return _figure(metric, value, interval, better, len(values), seed, *notes, f"standard error {error:.2g}")


def _active(means: Tensor, seed: int) -> Figure:
    value = active_units(means)
    interval = resampled_interval(active_units, means, value=value, generator=seeded(seed, "active_units"))
    note = f"of {means.shape[1]}; variance of the code's mean above {ACTIVE:g}"
    return _figure("active_units", value, interval, "higher", len(means), seed, note)


def _figure(
    metric: str, value: float, interval: Interval | None, better: Better, n: int, seed: int, *notes: str
) -> Figure:
    return Figure(
        metric=metric,
        value=value,
        low=interval.low if interval else None,
        high=interval.high if interval else None,
        n_real=n,
        n_fake=0,
        extractor="",
        seed=seed,
        better=better,
        note="; ".join(filter(None, (*notes, f"{n} random test examples"))),
    )


@contextmanager
def _evaluating(model: LikelihoodModel) -> Iterator[None]:
    """Without gradients and in evaluation mode, in which an example's answer does not depend on its company."""
    was_training = model.training
    model.train(False)
    try:
        with torch.inference_mode():
            yield
    finally:
        model.train(was_training)


def _checked(model: LikelihoodModel, x: Tensor, y: Tensor | None) -> Tensor | None:
    """The labels that the model is to be given."""
    shape = tuple(model.spec.shape)
    if tuple(x.shape[1:]) != shape or not len(x):
        expected = ", ".join(map(str, shape))
        raise UserError(f"expected one or more examples of shape (N, {expected}), got {tuple(x.shape)}")
    if not model.classes:
        return None
    if y is None or y.shape != (len(x),):
        came = "none" if y is None else tuple(y.shape)
        raise UserError(
            f"this model is conditional: expected a label for each of {len(x)} examples, got {came}; pass y"
        )
    return y


def _check_finite(values: Tensor, name: str) -> None:
    bad = ~values.flatten(1).isfinite().all(1) if values.ndim > 1 else ~values.isfinite()
    if bad.any():
        raise Diverged(f"{name} is NaN or infinite for {int(bad.sum())} of {len(bad)} examples; the model has diverged")
