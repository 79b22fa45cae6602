"""Training throughput of our loop against bare hand-written loops over the same networks.

    python -m benchmarks.throughput [--rounds 15]

Per pair of networks four arms take turns: our loop at its defaults; our loop in fp32; a bare loop with our defaults'
settings (bf16 where the processor has it, channels-last, fused Adam, gradients of the player alone); and the loop of
the tutorials (fp32, eager, Adam as it comes). No arm keeps a moving average or writes files.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
from torch import nn

from benchmarks.measure import interleave, ratio, save
from noiseforge.data.spec import Batch, Data, Spec
from noiseforge.models import build_model
from noiseforge.models.gan import GAN
from noiseforge.objectives.adversarial import LOSSES
from noiseforge.recipes.load import read_recipe
from noiseforge.recipes.schema import Recipe
from noiseforge.training.loop import CHECK_EVERY
from noiseforge.training.players import Training
from noiseforge.training.processes import Processes, computes_in_bf16
from noiseforge.training.record import Tally

PAIRS = {"mlp": "image/mnist-mlp", "dcgan": "image/mnist-dcgan"}
IMAGES = 4096


class Pictures:
    """Random grey pictures in memory: what they show does not change the speed."""

    def __init__(self, spec: Spec, count: int = IMAGES):
        self.spec = spec
        self.x = torch.rand(count, *spec.shape, generator=torch.Generator().manual_seed(0)) * 2 - 1

    @property
    def labels(self) -> None:
        return None

    def __len__(self) -> int:
        return len(self.x)

    def batch(self, indices: torch.Tensor) -> Batch:
        return Batch(self.x[indices])

    def subset(self, indices: torch.Tensor) -> Pictures:
        raise ValueError("the benchmark's pictures are taken whole")


def ours(recipe: Recipe, data: Data, rounds: int) -> Callable[[], None]:
    """Our loop, with its checks of the terms; those of the weights come some thirty times a run, with its saves."""
    training, tally = Training(recipe, data, Processes.join("cpu")), Tally()

    def run() -> None:
        for done in range(1, rounds + 1):
            tally.add(training.images, training.round())
            if done % CHECK_EVERY == 0 or done == rounds:
                tally.check()

    return run


def bare(recipe: Recipe, data: Data, rounds: int, *, tuned: bool) -> Callable[[], None]:
    """A loop as one writes it by hand, for the loss of the recipe."""
    model: GAN = build_model(recipe.model, data.spec, torch.Generator().manual_seed(0))
    generator, discriminator, loss = model.generator, model.discriminator, LOSSES[recipe.model.loss]
    if tuned:
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimisers = {
        network: torch.optim.Adam(network.parameters(), lr=player.lr, betas=(player.beta1, player.beta2), fused=tuned)
        for network, player in ((generator, recipe.model.generator), (discriminator, recipe.model.discriminator))
    }
    draws = torch.Generator().manual_seed(0)
    size = recipe.train.batch

    def step(network: nn.Module, terms: torch.Tensor) -> None:
        optimisers[network].zero_grad()
        terms.mean().backward(inputs=list(network.parameters()) if tuned else None)
        optimisers[network].step()

    def run() -> None:
        for _ in range(rounds):
            real = data.train.batch(torch.randint(IMAGES, (size,), generator=draws)).x
            if tuned:
                real = real.contiguous(memory_format=torch.channels_last)
            z = torch.randn(size, recipe.model.latent, generator=draws)
            with torch.autocast("cpu", torch.bfloat16, enabled=tuned and computes_in_bf16(torch.device("cpu"))):
                with torch.no_grad():
                    fake = generator(z)
                terms = loss.discriminator(discriminator(real), discriminator(fake))
            step(discriminator, terms)
            z = torch.randn(size, recipe.model.latent, generator=draws)
            with torch.autocast("cpu", torch.bfloat16, enabled=tuned and computes_in_bf16(torch.device("cpu"))):
                terms = loss.generator(None, discriminator(generator(z)))
            step(generator, terms)

    return run


def compare(name: str, rounds: int) -> dict[str, object]:
    """Images per second of each arm, and the two ratios that count."""
    overrides = ["model.augment=", "train.average_halflife=0", "train.batch=256" if name == "mlp" else "train.batch=64"]
    recipe = read_recipe(PAIRS[name], overrides)
    fp32 = read_recipe(PAIRS[name], [*overrides, "train.precision=fp32"])
    spec = Spec(source="random pictures", modality="image", shape=(1, 28, 28), fingerprint="random")
    pictures = Pictures(spec)
    data = Data(pictures, pictures, spec)
    steps = 40 if name == "mlp" else 5
    seconds = interleave(
        {
            "ours": ours(recipe, data, steps),
            "ours fp32": ours(fp32, data, steps),
            "bare, our settings": bare(recipe, data, steps, tuned=True),
            "bare, fp32 eager": bare(recipe, data, steps, tuned=False),
        },
        rounds=rounds,
    )
    images = steps * recipe.train.batch
    return {
        "images_per_second": {arm: round(images / sorted(s)[len(s) // 2]) for arm, s in seconds.items()},
        "cost_over_bare_at_our_settings": round(ratio(seconds, "ours", "bare, our settings") - 1, 4),
        "speed_over_bare_fp32_eager": round(ratio(seconds, "bare, fp32 eager", "ours"), 3),
        "fp32_speed_over_bare_fp32_eager": round(ratio(seconds, "bare, fp32 eager", "ours fp32"), 3),
        "rounds": rounds,
    }


def main() -> None:
    """Measures both pairs and keeps the outcome."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    outcome = {name: compare(name, rounds) for name in PAIRS}
    save("throughput", f"python -m benchmarks.throughput --rounds {rounds}", dict(outcome))
    for name, figures in outcome.items():
        print(name, *(f"\n  {key}: {value}" for key, value in figures.items()))


if __name__ == "__main__":
    main()
