"""Divergences, bounds and gradient estimators against closed forms and torch.distributions."""

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from noiseforge.objectives.variational import (
    doubly_reparameterised,
    free_bits,
    guarded,
    importance_bound,
    kl_between,
    kl_normal,
    normal_log_density,
    normalised_weights,
    reparameterised,
    standard_normal_log_density,
)


@pytest.fixture
def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_the_closed_forms_of_normal_distributions(rng: torch.Generator) -> None:
    x, mean, log_variance, other_mean, other_log_variance = 2 * torch.randn(5, 4, 3, generator=rng).double()
    ours = Normal(mean, (log_variance / 2).exp())
    other = Normal(other_mean, (other_log_variance / 2).exp())
    standard = Normal(torch.zeros_like(mean), 1.0)
    torch.testing.assert_close(kl_normal(mean, log_variance), kl_divergence(ours, standard))
    between = kl_between(mean, log_variance, other_mean, other_log_variance)
    torch.testing.assert_close(between, kl_divergence(ours, other))
    torch.testing.assert_close(normal_log_density(x, mean, log_variance), ours.log_prob(x))
    torch.testing.assert_close(standard_normal_log_density(x), standard.log_prob(x))


def test_a_divergence_is_0_from_itself_and_exact_near_it() -> None:
    mean, log_variance = torch.tensor([0.3, -2.0]), torch.tensor([1.0, -3.0])
    assert (kl_between(mean, log_variance, mean, log_variance) == 0).all()
    # Half the square of a small log-variance, halved: 1e-6 in fp32, where exp(v) - 1 - v would be rounding alone.
    assert float(kl_normal(torch.tensor(0.0), torch.tensor(2e-3))) == pytest.approx(1e-6, rel=1e-2)


@pytest.mark.parametrize("extreme", [1e6, -1e6, math.inf, -math.inf])
def test_a_guarded_log_variance_overflows_nothing(extreme: float) -> None:
    raw = torch.full((2,), extreme, requires_grad=True)
    mean = torch.tensor([-3.0, 3.0], requires_grad=True)
    log_variance = guarded(raw)
    z = reparameterised(mean, log_variance, torch.tensor([-4.0, 4.0]))
    terms = [
        kl_normal(mean, log_variance),
        kl_between(mean, log_variance, mean + 1, -log_variance),
        normal_log_density(z, mean, log_variance),
    ]
    for term in terms:
        assert term.isfinite().all()
        assert all(slope.isfinite().all() for slope in torch.autograd.grad(term.sum(), [mean, raw], retain_graph=True))
    assert guarded(torch.tensor(math.nan)).isnan()  # hidden, it would come out elsewhere


def test_draws_have_the_moments_that_were_asked_for(rng: torch.Generator) -> None:
    z = reparameterised(torch.tensor(2.0), torch.tensor(0.25).log(), torch.randn(100_000, generator=rng))
    assert float(z.mean()) == pytest.approx(2.0, abs=0.01)
    assert float(z.std()) == pytest.approx(0.5, abs=0.01)


def test_free_bits_hold_each_dimension_by_its_mean_over_the_batch() -> None:
    kl = torch.tensor([[0.0, 2.0, 0.1], [1.0, 4.0, 0.3]], requires_grad=True)
    assert float(free_bits(kl.detach(), 0.0)) == pytest.approx(0.5 + 3.0 + 0.2)
    held = free_bits(kl, 0.6)
    assert float(held.detach()) == pytest.approx(0.6 + 3.0 + 0.6)
    torch.testing.assert_close(torch.autograd.grad(held, kl)[0], torch.tensor([[0.0, 0.5, 0.0]]).expand(2, 3))


def test_the_importance_bound_rises_with_k_on_the_same_weights(rng: torch.Generator) -> None:
    log_weights = 2 * torch.randn(64, 2000, generator=rng).double() - 90
    bounds = [
        float(torch.stack([importance_bound(part) for part in log_weights.split(k)]).mean()) for k in (1, 2, 8, 64)
    ]
    assert bounds == sorted(bounds)
    assert bounds[0] == pytest.approx(float(log_weights.mean()))
    # The evidence of log-normal weights is mean + variance / 2.
    assert bounds[-1] < -88 < bounds[-1] + 0.5


def test_weights_far_below_the_smallest_number_still_count() -> None:
    log_weights = torch.tensor([[-5000.0], [-5000.0 + math.log(3)]])
    assert float(importance_bound(log_weights)) == pytest.approx(-5000 + math.log(2), abs=1e-3)
    torch.testing.assert_close(normalised_weights(log_weights), torch.tensor([[0.25], [0.75]]), atol=1e-3, rtol=0)
    assert not normalised_weights(log_weights.requires_grad_()).requires_grad


def test_one_sample_is_the_bound_itself() -> None:
    torch.testing.assert_close(importance_bound(torch.tensor([[-3.0, 4.0]])), torch.tensor([-3.0, 4.0]))


def estimates(estimator: str, noise: Tensor) -> Tensor:
    """Gradients of the bound by q's mean and log-variance, (2, N), one from each column of k samples (k, N).

    z ~ N(0, 1), x|z ~ N(z, 1), x = 1, and q = N(0.2, 1): the posterior is N(0.5, 0.5).
    """
    mean = torch.full_like(noise[0], 0.2, requires_grad=True)
    log_variance = torch.zeros_like(mean, requires_grad=True)
    z = reparameterised(mean, log_variance, noise)[..., None]

    def log_weights(z: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
        z = z[..., 0]
        likelihood = normal_log_density(torch.ones_like(z), z, torch.zeros_like(z))
        return likelihood + standard_normal_log_density(z) - normal_log_density(z, mean, log_variance)

    if estimator == "standard":
        loss = importance_bound(log_weights(z, mean, log_variance)).sum()
    else:
        constants = mean.detach(), log_variance.detach()
        weights = normalised_weights(log_weights(z, *constants))
        z = doubly_reparameterised(z, weights) if estimator == "doubly" else z
        loss = (weights * log_weights(z, *constants)).sum()
    return torch.stack(torch.autograd.grad(loss, [mean, log_variance]))


def test_the_doubly_reparameterised_gradient_is_the_same_in_expectation_and_less_noisy(rng: torch.Generator) -> None:
    noise = torch.randn(8, 100_000, generator=rng).double()
    standard, doubly = estimates("standard", noise), estimates("doubly", noise)
    error = (standard - doubly).std(1) / noise.shape[1] ** 0.5
    assert ((standard.mean(1) - doubly.mean(1)).abs() < 4 * error).all()
    assert (standard.mean(1).abs() > 4 * error).all()  # there is a slope to agree upon
    assert (doubly.var(1) < 0.5 * standard.var(1)).all()


def test_with_one_sample_the_estimators_that_hold_q_constant_agree(rng: torch.Generator) -> None:
    noise = torch.randn(1, 100, generator=rng).double()
    torch.testing.assert_close(estimates("sticking", noise), estimates("doubly", noise))


def test_the_weights_act_on_the_way_back_alone() -> None:
    z = torch.ones(2, 1, 3, requires_grad=True)
    weights = torch.tensor([[0.25], [0.75]])
    twice = doubly_reparameterised(z, weights)
    assert torch.equal(twice, z)
    (twice.sum() + z.sum()).backward()
    torch.testing.assert_close(z.grad, (1 + weights)[..., None].expand(2, 1, 3))
    assert doubly_reparameterised(z.detach(), weights).requires_grad is False
