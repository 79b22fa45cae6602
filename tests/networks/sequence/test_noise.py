import math

import pytest
import torch

from noiseforge.networks.sequence.noise import ResidualNoise


def model(width: int = 3, chunk: int = 1) -> ResidualNoise:
    """Every weight of it drawn, so that nothing is 0 by chance."""
    noise = ResidualNoise(4, width, levels=2, chunk=chunk)
    rng = torch.Generator().manual_seed(0)
    noise.initialise(rng)
    for parameter in (noise.memory.weight, noise.level, noise.mixing, noise.logits, noise.means):
        parameter.data.copy_(0.2 * torch.randn(parameter.shape, generator=rng))
    return noise


def test_the_density_integrates_to_one() -> None:
    noise, states = model(width=2), torch.randn(1, 2, 4, generator=torch.Generator().manual_seed(1))
    line = torch.linspace(-12, 12, 601)
    grid = torch.stack(torch.meshgrid(line, line, indexing="ij"), -1).view(-1, 1, 2)
    past, level = torch.full((len(grid), 1, 2), 0.7), torch.tensor([[0.5, -1.0]]).expand(len(grid), -1)
    with torch.no_grad():
        log_prob = noise.log_prob(torch.cat([past, grid], 1), states.expand(len(grid), -1, -1), level)[:, 1].sum(1)
    assert float(log_prob.double().exp().sum() * (line[1] - line[0]).double() ** 2) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("chunk", [1, 2])
def test_draws_have_the_density_that_is_learned_from(chunk: int) -> None:
    """The mean of -log p over its own draws is the entropy, which every other model of them exceeds."""
    noise, other = model(chunk=chunk), model(chunk=chunk)
    states = torch.randn(1, 4 // chunk, 4, generator=torch.Generator().manual_seed(1)).expand(20_000, -1, -1)
    level = torch.tensor([[0.5, -1.0]]).expand(len(states), -1)
    with torch.no_grad():
        drawn = noise.sample(states, level, 4, torch.Generator().manual_seed(2))
        own = -noise.log_prob(drawn, states, level).mean()
        for parameter, change in ((other.memory.weight, 0.0), (other.mixing, 0.0), (other.level, 0.0)):
            kept = parameter.data.clone()
            parameter.data.fill_(change)
            assert -other.log_prob(drawn, states, level).mean() > own
            parameter.data.copy_(kept)


def test_it_learns_the_scale_of_each_place_and_the_memory() -> None:
    rng = torch.Generator().manual_seed(0)
    noise, level = ResidualNoise(1, 1, levels=0, chunk=1), torch.zeros(256, 0)
    noise.initialise(rng)
    optimiser = torch.optim.Adam(noise.parameters(), 0.02)
    for _ in range(300):
        states = torch.rand(256, 12, 1, generator=rng)
        e = torch.zeros(256, 1)
        series = [e := 0.6 * e + torch.randn(256, 1, generator=rng) for _ in range(12)]
        residual = torch.stack(series, 1) * (0.1 + states)
        optimiser.zero_grad()
        (-noise.log_prob(residual, states, level)[:, 1:].mean()).backward()
        optimiser.step()
    assert noise.memory.weight[0, 0].item() == pytest.approx(0.6, abs=0.06)
    places = torch.tensor([0.0, 1.0]).view(2, 1, 1).expand(-1, 12, -1)
    with torch.no_grad():
        low, high = noise.sample(places.repeat_interleave(4000, 0), torch.zeros(8000, 0), 12, rng).view(2, -1).std(1)
    assert high / low == pytest.approx(11, rel=0.25)


def test_it_learns_the_edges_of_a_uniform_distribution() -> None:
    """In 300 steps more than half of what a uniform density has over the normal one of its variance, 0.176 nats."""
    rng = torch.Generator().manual_seed(0)
    noise, states, level = ResidualNoise(1, 1, levels=0, chunk=1), torch.zeros(512, 8, 1), torch.zeros(512, 0)
    noise.initialise(rng)
    optimiser = torch.optim.Adam(noise.parameters(), 0.01)
    for _ in range(300):
        residual = (torch.rand(512, 8, 1, generator=rng) - 0.5) * math.sqrt(12)
        optimiser.zero_grad()
        loss = -noise.log_prob(residual, states, level).mean()
        loss.backward()
        optimiser.step()
    normal, uniform = math.log(2 * math.pi * math.e) / 2, math.log(12) / 2
    assert loss.item() < (normal + uniform) / 2
