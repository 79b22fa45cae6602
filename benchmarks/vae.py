"""Training throughput of a VAE: our loop, a bare hand-written loop, and pythae's trainer on the same work.

    pip install pythae==0.1.2
    python -m benchmarks.vae [--rounds 15]

The networks of Burda et al. 2016 (784-200-200-50, tanh), batches of 100, binary pictures, the evidence lower bound
with one draw, Adam. The arms take turns in one process, an epoch of 10,000 pictures each: our loop at its defaults; our
loop in fp32; a bare loop at the settings of our defaults; pythae's BaseTrainer as it comes. No arm keeps a moving
average or writes files.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from benchmarks.measure import interleave, ratio, save
from benchmarks.throughput import Pictures, ours
from noiseforge.data.spec import Data, Spec
from noiseforge.models import build_model
from noiseforge.recipes.load import read_recipe
from noiseforge.recipes.schema import Recipe
from noiseforge.training.processes import computes_in_bf16

LATENT = 50
BATCH = 100


def bare(recipe: Recipe, data: Data, steps: int) -> Callable[[], None]:
    """A loop as one writes it by hand, over the same networks, at the settings of our defaults."""
    model = build_model(recipe.model, data.spec, torch.Generator().manual_seed(0))
    encoder, decoder = model.encoder, model.decoder
    optimiser = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=1e-3, eps=1e-4, fused=True)
    draws, bf16 = torch.Generator().manual_seed(0), computes_in_bf16(torch.device("cpu"))

    def run() -> None:
        for order in torch.randperm(len(data.train), generator=draws).split(BATCH)[:steps]:
            x = data.train.batch(order).x.contiguous(memory_format=torch.channels_last)
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                mean, log_variance = encoder(x).float().chunk(2, dim=1)
                z = mean + (log_variance / 2).exp() * torch.randn(mean.shape, generator=draws)
                logits = decoder(z).float()
                missed = binary_cross_entropy_with_logits(logits, (x + 1) / 2, reduction="none").flatten(1).sum(1)
                kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1)
            optimiser.zero_grad()
            (missed.mean() + kl.mean()).backward()
            optimiser.step()

    return run


def pythae(data: Data, folder: str) -> Callable[[], None]:
    """pythae's own model and trainer around the same networks."""
    from pythae.data.datasets import BaseDataset
    from pythae.models import VAE, VAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    def layers(*widths: int) -> nn.Sequential:
        return nn.Sequential(*(part for i, o in pairwise(widths) for part in (nn.Linear(i, o), nn.Tanh())))

    class Encoder(BaseEncoder):
        def __init__(self) -> None:
            super().__init__()
            self.hidden, self.mean, self.log_variance = layers(784, 200, 200), nn.Linear(200, 50), nn.Linear(200, 50)

        def forward(self, x: Tensor) -> ModelOutput:
            h = self.hidden(x.flatten(1))
            return ModelOutput(embedding=self.mean(h), log_covariance=self.log_variance(h))

    class Decoder(BaseDecoder):
        def __init__(self) -> None:
            super().__init__()
            self.hidden, self.output = layers(50, 200, 200), nn.Linear(200, 784)

        def forward(self, z: Tensor) -> ModelOutput:
            return ModelOutput(reconstruction=self.output(self.hidden(z)).sigmoid().unflatten(1, (1, 28, 28)))

    config = VAEConfig(input_dim=(1, 28, 28), latent_dim=LATENT, reconstruction_loss="bce")
    x = (data.train.batch(torch.arange(len(data.train))).x + 1) / 2
    trainer = BaseTrainer(
        model=VAE(config, encoder=Encoder(), decoder=Decoder()),
        train_dataset=BaseDataset(x, torch.zeros(len(x))),
        training_config=BaseTrainerConfig(
            output_dir=folder,
            num_epochs=1,
            per_device_train_batch_size=BATCH,
            optimizer_params={"eps": 1e-4},
            learning_rate=1e-3,
            no_cuda=True,
        ),
    )
    trainer.prepare_training()
    return lambda: trainer.train_step(1)


def main() -> None:
    """Measures the arms and keeps the outcome."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    spec = Spec(source="random pictures", modality="image", shape=(1, 28, 28), fingerprint="random")
    pictures = Pictures(spec, count=10_000)
    pictures.x = pictures.x.sign()
    data = Data(pictures, pictures, spec)
    settings = ["model.likelihood.binarise=none", "train.average_halflife=0", f"train.batch={BATCH}"]
    steps = len(pictures) // BATCH
    with tempfile.TemporaryDirectory() as folder:
        seconds = interleave(
            {
                "ours": ours(read_recipe("image/mnist-vae", settings), data, steps),
                "ours fp32": ours(read_recipe("image/mnist-vae", [*settings, "train.precision=fp32"]), data, steps),
                "bare, our settings": bare(read_recipe("image/mnist-vae", settings), data, steps),
                "pythae": pythae(data, folder),
            },
            rounds=rounds,
        )
    outcome: dict[str, object] = {
        "images_per_second": {arm: round(steps * BATCH / sorted(s)[len(s) // 2]) for arm, s in seconds.items()},
        "of_the_bare_loop": round(ratio(seconds, "bare, our settings", "ours"), 4),
        "speed_over_pythae": round(ratio(seconds, "pythae", "ours"), 3),
        "fp32_speed_over_pythae": round(ratio(seconds, "pythae", "ours fp32"), 3),
        "rounds": rounds,
    }
    save("vae", f"python -m benchmarks.vae --rounds {rounds}", outcome)
    print(*(f"{key}: {value}" for key, value in outcome.items()), sep="\n")


if __name__ == "__main__":
    main()
