"""Training throughput of the latent recurrent GAN against a bare hand-written loop over the same networks.

    python -m benchmarks.recurrent_gan [--rounds 15]

The recipe `sequence/stocks` (windows of 24 steps of 6 columns, batches of 256, fp32), one thread. Its two long phases
are measured apart, the game on codes with both gradient penalties while the decoder learns beside it, and the game
alone; in each our loop and one by hand take turns. No arm keeps a moving average or writes files.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, softplus

from benchmarks.measure import interleave, ratio, save
from benchmarks.throughput import Pictures, ours
from noiseforge.data.spec import Data, Spec
from noiseforge.models import build_model
from noiseforge.recipes.load import read_recipe
from noiseforge.recipes.schema import Recipe

COUNT, STEPS, FEATURES = 4096, 24, 6
UPDATES = {"game and decoder": 8, "game": 20}
SPEC = Spec(source="random walks", modality="sequence", shape=(STEPS, FEATURES), fingerprint="random")


class Walks(Pictures):
    """Random walks in memory: what they hold does not change the speed."""

    def __init__(self) -> None:
        super().__init__(SPEC, COUNT)
        self.x = self.x.cumsum(1) / STEPS


def recipe(phase: str) -> Recipe:
    """The recipe without its moving average; for the game alone, with a decoder that ends at once."""
    short = ["model.autoencoder.images=1", "model.residual_images=1"] if phase == "game" else []
    return read_recipe("sequence/stocks", ["train.average_halflife=0", *short])


def bare(phase: str, data: Data) -> Callable[[], None]:
    """A loop by hand over our networks: the losses are written out, and nothing is recorded."""
    chosen = recipe(phase)
    model = build_model(chosen.model, SPEC, torch.Generator().manual_seed(0))
    model.prepare(data.train)
    draws, size = torch.Generator().manual_seed(0), chosen.train.batch

    def real() -> Tensor:
        return data.train.batch(torch.randint(COUNT, (size,), generator=draws)).x

    steps = (
        [_game(model, real, draws)] if phase == "game" else [_decoder(model, real, draws), _game(model, real, draws)]
    )

    def run() -> None:
        for _ in range(UPDATES[phase]):
            for step in steps:
                step()

    return run


def _decoder(model: nn.Module, real: Callable[[], Tensor], draws: torch.Generator) -> Callable[[], None]:
    settings, shown, principal = model.settings.autoencoder, model.representation, model.principal
    parameters = list(model.decoder.parameters())
    optimiser = _adam(parameters, settings)

    def step() -> None:
        view = shown(real(), None)
        shape = principal(shown.flat(view))
        jitter = settings.jitter * principal.scales * torch.randn(shape.shape, generator=draws)
        outputs = model.decoder(torch.cat([view.level, shape + jitter], 1), None).outputs
        linear = shown.steps_of(principal.restore(shape))[..., : shown.widths[0]]
        outputs = outputs + pad(linear, (0, outputs.shape[2] - linear.shape[2]))
        error = shown.errors(view, shown.parts(outputs, view.level))
        squares = error.square().sum() + settings.difference * error.diff(dim=1).square().sum()
        (squares / view.known.sum()).backward()
        nn.utils.clip_grad_norm_(parameters, settings.clip_norm)
        optimiser.step()
        optimiser.zero_grad()

    return step


def _game(model: nn.Module, real: Callable[[], Tensor], draws: torch.Generator) -> Callable[[], None]:
    settings, game, shown = model.settings, model.game, model.representation
    optimisers = {
        player: _adam(list(getattr(game, player).parameters()), getattr(settings, player))
        for player in ("discriminator", "generator")
    }

    def codes() -> Tensor:
        view = shown(real(), None)
        return torch.cat([view.level, model.principal(shown.flat(view))], 1)

    def latents(count: int) -> Tensor:
        return torch.randn(count, model.width, generator=draws)

    def update(player: str, loss: Tensor) -> None:
        loss.backward(inputs=list(getattr(game, player).parameters()))
        optimisers[player].step()
        optimisers[player].zero_grad()

    def step() -> None:
        with torch.no_grad():
            data = codes()
            fake = game.generator(latents(len(data)), None)
        both = torch.cat([data, fake]).requires_grad_()
        logits = game.discriminator(both, None)
        (slope,) = torch.autograd.grad(logits.sum(), both, create_graph=True)
        penalties = slope.square().sum(1).chunk(2)
        real_logits, fake_logits = logits.chunk(2)
        penalty = settings.r1 / 2 * penalties[0].mean() + settings.r2 / 2 * penalties[1].mean()
        update("discriminator", softplus(fake_logits - real_logits).mean() + penalty)
        with torch.no_grad():
            data = codes()
            real_logits = game.discriminator(data, None)
        fake_logits = game.discriminator(game.generator(latents(len(data)), None), None)
        update("generator", softplus(real_logits - fake_logits).mean())

    return step


def _adam(parameters: list[nn.Parameter], settings: object) -> torch.optim.Adam:
    return torch.optim.Adam(parameters, lr=2e-4, betas=(settings.beta1, settings.beta2), fused=True)


def compare(rounds: int) -> dict[str, object]:
    """Series per second of both loops in each phase, and what ours costs more."""
    walks = Walks()
    data = Data(walks, walks, SPEC)
    outcome: dict[str, object] = {}
    for phase, updates in UPDATES.items():
        seconds = interleave({"ours": ours(recipe(phase), data, updates), "bare": bare(phase, data)}, rounds=rounds)
        count = updates * recipe(phase).train.batch
        outcome[phase] = {
            "series_per_second": {arm: round(count / sorted(s)[len(s) // 2]) for arm, s in seconds.items()},
            "cost_over_bare": round(ratio(seconds, "ours", "bare") - 1, 4),
        }
    return {**outcome, "rounds": rounds}


def main() -> None:
    """Measures and keeps the outcome."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    outcome = compare(rounds)
    save("recurrent-gan", f"python -m benchmarks.recurrent_gan --rounds {rounds}", outcome)
    print(*(f"{key}: {value}\n" for key, value in outcome.items()))


if __name__ == "__main__":
    main()
