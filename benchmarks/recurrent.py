"""Training throughput of the recurrent classifier against bare hand-written loops.

    python -m benchmarks.recurrent [--rounds 9]

Two layers of 128 LSTM units, 100 steps of 28 features, batches of 64. Five arms take turns: our loop in bf16 where the
processor has it, with two threads and with one; our loop in fp32 with one thread; a bare loop over the same network at
the settings of the first arm, which shows what our loop costs; and the loop of the tutorials over `nn.LSTM`, fp32, one
thread and Adam as it comes. No arm keeps a moving average or writes files.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from benchmarks.measure import interleave, ratio, save
from noiseforge.data.spec import Batch, Data, Spec
from noiseforge.models import build_model
from noiseforge.recipes.load import read_recipe
from noiseforge.recipes.schema import Recipe
from noiseforge.training.loop import CHECK_EVERY
from noiseforge.training.players import Training
from noiseforge.training.processes import Processes, computes_in_bf16
from noiseforge.training.record import Tally

COUNT, STEPS, FEATURES, CLASSES, HIDDEN = 1024, 100, 28, 10, 128
BATCH, UPDATES = 64, 10
SPEC = Spec(
    source="random sequences",
    modality="sequence",
    shape=(STEPS, FEATURES),
    classes=tuple(map(str, range(CLASSES))),
    fingerprint="random",
)


class Sequences:
    """Random sequences in memory: what they hold does not change the speed."""

    def __init__(self) -> None:
        self.spec, draws = SPEC, torch.Generator().manual_seed(0)
        self.x = torch.rand(COUNT, STEPS, FEATURES, generator=draws)
        self.labels = torch.randint(CLASSES, (COUNT,), generator=draws)

    def __len__(self) -> int:
        return len(self.x)

    def batch(self, indices: Tensor) -> Batch:
        return Batch(self.x[indices], self.labels[indices])

    def subset(self, indices: Tensor) -> Sequences:
        raise ValueError("the benchmark's sequences are taken whole")


def recipe(precision: str) -> Recipe:
    """The classifier of the benchmark; it reads out of the last state, as the loop of the tutorials does."""
    model = ["layers=2", f"hidden={HIDDEN}", "bidirectional=false", "dropout=0", "pooling=last", "optimiser.lr=0.001"]
    train = [f"batch={BATCH}", "average_halflife=0", f"precision={precision}"]
    overrides = [*(f"model.{each}" for each in model), *(f"train.{each}" for each in train)]
    return read_recipe("sequence/digits-rows", overrides)


def ours(recipe: Recipe, data: Data, threads: int) -> Callable[[], None]:
    """Our loop, with its checks of the terms."""
    training, tally = Training(recipe, data, Processes.join("cpu")), Tally()

    def run() -> None:
        torch.set_num_threads(threads)
        for done in range(1, UPDATES + 1):
            tally.add(training.images, training.round())
            if done % CHECK_EVERY == 0 or done == UPDATES:
                tally.check()

    return run


def bare(recipe: Recipe, data: Data, threads: int) -> Callable[[], None]:
    """A loop by hand over our network, at our settings."""
    model = build_model(recipe.model, SPEC, torch.Generator().manual_seed(0))
    model.prepare(data.train)
    settings, draws = recipe.model.optimiser, torch.Generator().manual_seed(0)
    parameters = list(model.parameters())
    optimiser = torch.optim.Adam(parameters, lr=settings.lr, betas=(settings.beta1, settings.beta2), fused=True)
    able = recipe.train.precision != "fp32" and computes_in_bf16(torch.device("cpu"))

    def run() -> None:
        torch.set_num_threads(threads)
        for _ in range(UPDATES):
            batch = data.train.batch(torch.randint(COUNT, (BATCH,), generator=draws))
            with torch.autocast("cpu", torch.bfloat16, enabled=able):
                loss = cross_entropy(model.logits(batch.x), batch.y)
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, settings.clip_norm)
            optimiser.step()
            optimiser.zero_grad()

    return run


def tutorial(data: Data) -> Callable[[], None]:
    """The loop of the tutorials, one thread and fp32."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network, head = nn.LSTM(FEATURES, HIDDEN, 2, batch_first=True), nn.Linear(HIDDEN, CLASSES)
    optimiser = torch.optim.Adam([*network.parameters(), *head.parameters()])
    draws = torch.Generator().manual_seed(0)

    def run() -> None:
        torch.set_num_threads(1)
        for _ in range(UPDATES):
            batch = data.train.batch(torch.randint(COUNT, (BATCH,), generator=draws))
            outputs, _ = network(batch.x)
            loss = cross_entropy(head(outputs[:, -1]), batch.y)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()

    return run


def compare(rounds: int) -> dict[str, object]:
    """Sequences per second of each arm, and the ratios that count."""
    sequences = Sequences()
    data = Data(sequences, sequences, SPEC)
    seconds = interleave(
        {
            "ours, two threads": ours(recipe("auto"), data, 2),
            "bare, our settings": bare(recipe("auto"), data, 2),
            "ours, one thread": ours(recipe("auto"), data, 1),
            "ours fp32, one thread": ours(recipe("fp32"), data, 1),
            "bare fp32, one thread": tutorial(data),
        },
        rounds=rounds,
    )
    shown = {arm: round(UPDATES * BATCH / sorted(s)[len(s) // 2]) for arm, s in seconds.items()}
    reference = "bare fp32, one thread"
    return {
        "sequences_per_second": shown,
        "cost_over_bare_at_our_settings": round(ratio(seconds, "ours, two threads", "bare, our settings") - 1, 4),
        "speed_over_bare_fp32": {
            arm: round(ratio(seconds, reference, arm), 3) for arm in seconds if arm.startswith("ours")
        },
        "rounds": rounds,
    }


def main() -> None:
    """Measures and keeps the outcome."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    outcome = compare(rounds)
    save("recurrent-classifier", f"python -m benchmarks.recurrent --rounds {rounds}", outcome)
    print(*(f"{key}: {value}\n" for key, value in outcome.items()))


if __name__ == "__main__":
    main()
