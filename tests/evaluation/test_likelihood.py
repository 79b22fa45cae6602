"""Estimates of the likelihood against a model whose evidence is known: z ~ N(0, 1), x|z ~ N(W z + b, σ²)."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal

from noiseforge.data.spec import Batch, Data, Spec
from noiseforge.errors import Diverged, UserError
from noiseforge.evaluation import likelihood
from noiseforge.evaluation.figures import Figure
from noiseforge.evaluation.glossary import GLOSSARY
from noiseforge.evaluation.likelihood import active_units, elbo, likelihood_figures, log_likelihood
from noiseforge.models.latent import Code
from noiseforge.objectives.likelihood import binarised, gaussian
from noiseforge.objectives.variational import (
    kl_between,
    kl_normal,
    normal_log_density,
    reparameterised,
    standard_normal_log_density,
)

SHAPE, LATENT, SIGMA = (1, 2, 3), 2, 0.7
DIMENSIONS = math.prod(SHAPE)


class Settings:
    latent = LATENT


class LinearGaussian(nn.Module):
    """The columns of W are orthogonal, so that the posterior has independent dimensions, as q has.

    Args:
        shift: what q's mean is moved by from the posterior's.
        widening: what is added to its log-variance.
    """

    classes, discrete = 0, False
    settings = Settings()

    def __init__(self, *, shift: float = 0.0, widening: float = 0.0, binarises: bool = False):
        super().__init__()
        weights = torch.zeros(DIMENSIONS, LATENT)
        weights[:3, 0], weights[3:, 1] = 0.8, 0.3
        self.weights = nn.Parameter(weights)
        self.bias = nn.Parameter(torch.linspace(-0.5, 0.5, DIMENSIONS))
        self.shift, self.widening, self.binarises = shift, widening, binarises
        self.spec = Spec(source="test", modality="image", shape=SHAPE, fingerprint="")
        self.calls: list[tuple[int, int]] = []

    def evidence(self, x: Tensor) -> Tensor:
        covariance = self.weights @ self.weights.T + SIGMA**2 * torch.eye(DIMENSIONS)
        return MultivariateNormal(self.bias.double(), covariance.double()).log_prob(x.flatten(1).double()).detach()

    def posterior(self, x: Tensor) -> Code:
        precision = 1 + self.weights.square().sum(0) / SIGMA**2
        mean = (x.flatten(1) - self.bias) @ self.weights / SIGMA**2 / precision
        return Code(mean, -precision.log().expand_as(mean))

    @torch.inference_mode()
    def encode(self, x: Tensor, y: Tensor | None = None) -> Code:
        mean, log_variance = self.posterior(x)
        return Code(mean + self.shift, log_variance + self.widening)

    def target(self, x: Tensor, thresholds: Tensor) -> Tensor:
        return binarised(x, thresholds) if self.binarises else x

    def log_weights(self, target: Tensor, y: Tensor | None, noise: Tensor) -> Tensor:
        assert not self.training and not torch.is_grad_enabled()
        self.calls.append((noise.shape[0], noise.shape[1]))
        mean, log_variance = self.encode(target)
        z = reparameterised(mean, log_variance, noise)
        ratio = (standard_normal_log_density(z) - normal_log_density(z, mean, log_variance)).sum(2)
        return self.given(target, z) + ratio

    def elbo_terms(self, target: Tensor, y: Tensor | None, noise: Tensor) -> dict[str, Tensor]:
        mean, log_variance = self.encode(target)
        reconstruction = self.given(target, reparameterised(mean, log_variance, noise))[0]
        return {"reconstruction": reconstruction, "kl": kl_normal(mean, log_variance)}

    def given(self, x: Tensor, z: Tensor) -> Tensor:
        mean = (z @ self.weights.T + self.bias).flatten(0, 1)
        target = x.flatten(1).expand(len(z), -1, -1).flatten(0, 1)
        return gaussian(target, mean, torch.tensor(math.log(SIGMA))).view(z.shape[:2])


@pytest.fixture
def x() -> Tensor:
    return torch.randn(7, *SHAPE, generator=torch.Generator().manual_seed(0)).clamp(-1, 1)


def test_with_the_exact_posterior_one_sample_is_the_evidence(x: Tensor) -> None:
    model = LinearGaussian().train()
    found = log_likelihood(model, x, 1)
    assert found.dtype == torch.float64 and found.shape == (7,)
    torch.testing.assert_close(found, model.evidence(x), atol=1e-5, rtol=0)
    assert model.training


def test_with_another_posterior_it_rises_to_the_evidence(x: Tensor) -> None:
    model = LinearGaussian(shift=0.5, widening=0.4)
    many = x[:1] + torch.linspace(-0.1, 0.1, 300).view(-1, 1, 1, 1)
    gaps = [float((model.evidence(many) - log_likelihood(model, many, k)).mean()) for k in (1, 8, 512)]
    assert gaps[0] > gaps[1] > gaps[2] > -0.01
    assert gaps[0] > 0.5 and gaps[2] < 0.02


def test_the_bound_is_the_evidence_less_the_divergence_from_the_posterior(x: Tensor) -> None:
    model = LinearGaussian(shift=0.3, widening=-0.2)
    many = x[:1] + torch.linspace(-1e-3, 1e-3, 3000).view(-1, 1, 1, 1)
    terms = elbo(model, many)
    ours, posterior = model.encode(many), model.posterior(many)
    expected = model.evidence(many) - kl_between(*ours, *posterior).sum(1).detach()
    error = float((terms.bound - expected).std()) / len(many) ** 0.5
    assert float((terms.bound - expected).mean()) == pytest.approx(0.0, abs=4 * error)
    assert error < 0.05
    torch.testing.assert_close(terms.kl, kl_normal(*ours).double().sum(1).detach())
    assert float(terms.kl_by_dimension.sum()) == pytest.approx(float(terms.kl.mean()))


@pytest.mark.parametrize("binarises", [False, True])
def test_neither_chunks_nor_order_nor_company_change_the_answer(x: Tensor, binarises: bool) -> None:
    model = LinearGaussian(shift=0.5, widening=0.4, binarises=binarises)
    whole = log_likelihood(model, x, 200, seed=3)
    assert model.calls == [(200, 7)]
    row = 4 * (likelihood.COPIES * DIMENSIONS + 4 * LATENT)
    for rows, images in ((450, 2), (200, 1), (130, 1), (10, 1), (0, 1)):
        model.calls.clear()
        torch.testing.assert_close(log_likelihood(model, x, 200, seed=3, memory=rows * row), whole, atol=1e-5, rtol=0)
        assert max(k * n for k, n in model.calls) <= max(rows, 1)
        assert max(n for _, n in model.calls) == images
        assert sum(k * n for k, n in model.calls) == 200 * 7
    order = torch.tensor([6, 0, 0, 3])
    torch.testing.assert_close(log_likelihood(model, x[order], 200, seed=3), whole[order], atol=1e-5, rtol=0)
    assert elbo(model, x[order]).bound.tolist() == pytest.approx(elbo(model, x).bound[order].tolist(), abs=1e-5)
    assert (log_likelihood(model, x, 200, seed=4) - whole).abs().min() > 1e-4


@pytest.mark.parametrize("samples", [1, 3, 64, 65])
def test_exactly_as_many_samples_are_drawn_as_were_asked_for(x: Tensor, samples: int) -> None:
    model = LinearGaussian(shift=0.5)
    found = log_likelihood(model, x, samples)
    assert sum(k for k, _ in model.calls) == samples
    # The first of many are those of few, and one sample's weight is the estimate itself.
    noise = likelihood._Draws(model, x, 0).noise(128)[:samples]
    with torch.inference_mode():
        weights = model.eval().log_weights(x, None, noise).double()
    torch.testing.assert_close(found, weights.logsumexp(0) - math.log(samples), atol=1e-5, rtol=0)


def test_each_example_has_noise_of_its_own_and_equal_examples_the_same(x: Tensor) -> None:
    drawn = likelihood._Draws(LinearGaussian(), torch.cat([x[:2], x[:1], torch.zeros(1, *SHAPE)]), 0)
    noise = torch.cat([drawn.noise(64), drawn.noise(128)])
    assert torch.equal(noise[:, 0], noise[:, 2])
    assert not torch.isclose(noise[:, 0], noise[:, 1]).any()
    assert noise.flatten().unique().numel() == 3 * 192 * LATENT
    minus = likelihood._Draws(LinearGaussian(), torch.full((1, *SHAPE), -0.0), 0)
    assert torch.equal(minus.noise(64)[:, 0], noise[:64, 3])


def data_of(x: Tensor) -> Data:
    class Test:
        labels = None
        spec = LinearGaussian().spec

        def __len__(self) -> int:
            return len(x)

        def batch(self, indices: Tensor) -> Batch:
            return Batch(x[indices])

        def subset(self, indices: Tensor) -> "Test":
            raise NotImplementedError

    return Data(Test(), Test(), Test.spec)


def test_the_figures_of_random_test_examples() -> None:
    model = LinearGaussian(shift=0.2)
    x = torch.linspace(-1, 1, 400).view(-1, 1, 1, 1).expand(-1, *SHAPE)  # sorted, as test sets are
    shares: list[float] = []
    found = likelihood_figures(model, data_of(x), n=100, samples=64, seed=2, progress=shares.append)
    figures = {figure.metric: figure for figure in found}
    assert list(figures) == ["nll", "elbo", "reconstruction", "kl", "active_units"]
    assert all(name in GLOSSARY for name in [*figures, "bits_per_dimension"])
    assert all((f.n_real, f.n_fake, f.seed) == (100, 0, 2) for f in found)
    assert all(f.low is not None and f.high is not None and f.low <= f.value <= f.high for f in found)
    nll, bound = figures["nll"], figures["elbo"]
    truth = -model.evidence(x)
    assert nll.low is not None and nll.low < float(truth.mean()) < (nll.high or 0)  # the first 100 are far from it
    assert float(truth[:100].mean()) > (nll.high or 0)
    assert nll.value - 1e-3 < -bound.value == pytest.approx(figures["kl"].value - figures["reconstruction"].value)
    assert "64 importance samples" in nll.note and "100 random test examples" in nll.note
    error = float(nll.note.split("standard error ")[1].split(";")[0])
    assert (nll.high or 0) - nll.value == pytest.approx(1.96 * error, rel=0.05)
    assert "binarisation" not in nll.note
    assert shares[-1] == 1.0 and shares == sorted(shares)
    assert likelihood_figures(model, data_of(x), n=100, samples=64, seed=2) == found


def test_bits_are_told_of_a_discrete_likelihood_and_the_seed_of_a_binarised_one(x: Tensor) -> None:
    model = LinearGaussian(binarises=True)
    model.discrete = True
    found: dict[str, Figure] = {f.metric: f for f in likelihood_figures(model, data_of(x), samples=2, seed=5)}
    assert found["bits_per_dimension"].value == pytest.approx(found["nll"].value / DIMENSIONS / math.log(2))
    assert "dynamic binarisation, seed 5" in found["nll"].note
    assert found["nll"].n_real == len(x)


def test_units_are_active_where_the_code_follows_the_data() -> None:
    means = torch.randn(1000, 4, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 0.2, 0.05, 0.0])
    assert active_units(means + 7) == 2
    assert active_units(means, threshold=0.5) == 1


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda model, x: log_likelihood(model, x, 0), "samples must be >= 1, got 0"),
        (lambda model, x: log_likelihood(model, x[:, :, :1], 5), r"\(N, 1, 2, 3\), got \(7, 1, 1, 3\)"),
        (lambda model, x: elbo(model, x[:0]), r"one or more examples .* got \(0, 1, 2, 3\)"),
        (lambda model, x: likelihood_figures(model, data_of(x), n=1), "at least 2 test examples, got 1"),
    ],
)
def test_what_has_no_likelihood_is_refused(
    x: Tensor, act: Callable[[LinearGaussian, Tensor], object], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        act(LinearGaussian(), x)


def test_a_conditional_model_needs_a_label_for_each_example(x: Tensor) -> None:
    model = LinearGaussian()
    model.classes = 10
    for y, came in ((None, "none"), (torch.zeros(3, dtype=torch.int64), r"\(3,\)")):
        with pytest.raises(UserError, match=f"a label for each of 7 examples, got {came}"):
            log_likelihood(model, x, 2, y=y)
    assert log_likelihood(model, x, 2, y=torch.zeros(7, dtype=torch.int64)).shape == (7,)


def test_a_model_that_has_diverged_is_named(x: Tensor) -> None:
    model = LinearGaussian()
    model.bias.data.fill_(math.nan)
    with pytest.raises(Diverged, match=r"log p\(x\) is NaN or infinite for 7 of 7 examples"):
        log_likelihood(model, x, 2)
    with pytest.raises(Diverged, match=r"log p\(x\|z\) is NaN"):
        elbo(model, x)
