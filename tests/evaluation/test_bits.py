"""Predictors against entropies that are known in closed form."""

import math

import pytest
import torch
from torch import Tensor

from noiseforge.evaluation.predictors import histogram, linear_prediction, markov, uniform
from noiseforge.objectives.mu_law import mu_law_decode, mu_law_edges, mu_law_encode


@pytest.fixture
def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def sound(codes: Tensor) -> Tensor:
    return mu_law_decode(codes)


def test_mu_law_survives_the_round_trip_and_its_edges_part_the_codes() -> None:
    for levels in (4, 16, 256, 1024):
        codes = torch.arange(levels)
        assert torch.equal(mu_law_encode(mu_law_decode(codes, levels), levels), codes)
        edges, values = mu_law_edges(levels), mu_law_decode(codes, levels).double()
        assert bool((values[:-1] < edges).all()) and bool((edges < values[1:]).all())
    assert mu_law_encode(torch.tensor([-7.0, -1.0, 0.0, 1.0, 7.0])).tolist() == [0, 0, 128, 255, 255]


def test_codes_without_memory_cost_their_entropy(rng: torch.Generator) -> None:
    shares = torch.tensor([0.5, 0.25, 0.125, 0.125])
    train, test = (
        sound(100 + torch.multinomial(shares, n, replacement=True, generator=rng)) for n in (200_000, 20_000)
    )
    assert float(uniform(256)(test).mean()) == 8.0
    assert float(histogram([train], mu_law_encode, 256)(test).mean()) == pytest.approx(1.75, abs=0.02)
    assert float(markov([train], mu_law_encode, 256)(test).mean()) == pytest.approx(1.75, abs=0.02)


def test_a_chain_costs_a_table_what_its_steps_cost(rng: torch.Generator) -> None:
    """A walk that goes on by one or stays, evenly: 1 bit, where the histogram needs log2 of its length."""
    steps = torch.randint(2, (200_000,), generator=rng)
    walk = sound(steps.cumsum(0) % 64 + 90)
    assert float(markov([walk], mu_law_encode, 256)(walk).mean()) == pytest.approx(1.0, abs=0.02)
    assert float(histogram([walk], mu_law_encode, 256)(walk).mean()) == pytest.approx(6.0, abs=0.02)


def test_linear_prediction_costs_the_entropy_of_the_residual(rng: torch.Generator) -> None:
    """x[t] = 1.8 x[t-1] - 0.95 x[t-2] + a logistic of scale s on a grid of step d: log2(s e² / d) bits."""
    scale, step, n = 1 / 128, 1 / 2048, 30_000
    u = torch.rand(n, generator=rng, dtype=torch.float64).clamp(1e-9, 1 - 1e-9)
    noise, x = scale * (u / (1 - u)).log(), [0.0, 0.0]
    for value in noise.tolist():
        x.append(1.8 * x[-1] - 0.95 * x[-2] + value)
    clip = torch.tensor(x[2:])
    edges = torch.arange(-4096, 4096, dtype=torch.float64) * step + step / 2

    def encode(values: Tensor) -> Tensor:
        return torch.bucketize(values.double(), edges)

    bits = linear_prediction(lambda: iter([clip]), edges, encode)(clip)
    assert float(bits.mean()) == pytest.approx(math.log2(scale * math.e**2 / step), abs=0.03)
