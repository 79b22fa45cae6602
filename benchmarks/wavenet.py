"""WaveNet: samples a second of every way to generate, beside the time of reading the weights; training throughput.

    python -m benchmarks.wavenet [--rounds 9]

Two sizes at 256 levels: large has 30 layers (dilations 1 to 512, three times), residual 64, gate 128, skip 256; small
has 20 layers (twice), 32, 64, 128. Random weights, draws included, one thread but where it says two. The arms take
turns.

"plain queues" is the usual eager loop, a deque for each layer; "queues" is our torch path. "read" reads the kernel's
own weights from front to back and does nothing else: the rate that one stream in one thread cannot exceed. Training is
teacher-forced, 4 crops of 8000 samples, Adam: our network with bf16 autocast against a bare fp32 loop over conv1d.
"""

from __future__ import annotations

import argparse
import statistics
from collections import deque
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, pad

from benchmarks.measure import interleave, ratio, save
from noiseforge.networks.wavenet.draw import draw
from noiseforge.networks.wavenet.kernel import Kernel, level
from noiseforge.networks.wavenet.naive import Naive
from noiseforge.networks.wavenet.network import RESIDUAL_SCALE, CausalNetwork
from noiseforge.networks.wavenet.queues import Queues
from noiseforge.networks.wavenet.stepper import Stepper
from noiseforge.networks.wavenet.weights import Weights

LEVELS = 256
SIZES = {
    "large": {"dilations": tuple(2**i for i in range(10)) * 3, "residual": 64, "gate": 128, "skip": 256},
    "small": {"dilations": tuple(2**i for i in range(10)) * 2, "residual": 32, "gate": 64, "skip": 128},
}
STREAMS = (1, 8, 64)
CROPS, LENGTH = 4, 8000

Arm = tuple[Callable[[], object], int]
"""What runs, and how many samples it makes."""


def network(size: str) -> CausalNetwork:
    """A network of random weights."""
    made = CausalNetwork(levels=LEVELS, outputs=LEVELS, **SIZES[size])  # type: ignore[arg-type]
    made.initialise(torch.Generator().manual_seed(0))
    return made


def uniforms(n: int, steps: int) -> Tensor:
    """What the draws of n streams use."""
    return torch.rand(n, steps, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def advancing(runner: Stepper, steps: int) -> Arm:
    """A stepper that makes so many samples of each of its streams."""
    draws = uniforms(runner.n, steps)
    return lambda: runner.advance(draws), runner.n * steps


def filled(runner: Naive) -> Naive:
    """The reference with a full window behind it, without the time of getting there."""
    state = runner.state()
    runner.load_state({**state, "inputs": torch.zeros(1, runner.receptive_field, dtype=torch.int64)})
    return runner


def plain_queues(weights: Weights, steps: int) -> Arm:
    """The loop as one writes it by hand in torch, kernel 2, one stream."""
    draws, residual = uniforms(1, steps), weights.first.shape[1]
    heard_before = [deque([torch.zeros(1, residual)] * dilation) for dilation in weights.dilations]
    last = torch.tensor([LEVELS // 2])

    @torch.inference_mode()
    def run() -> None:
        nonlocal last
        for step in range(steps):
            signal, skipped = weights.first[last], weights.skip_bias
            for layer, queue in enumerate(heard_before):
                taps = torch.cat([queue.popleft(), signal], 1)
                queue.append(signal)
                both = torch.addmm(weights.gate_biases[layer], taps, weights.gates[layer].T)
                filtered, gate = both.chunk(2, dim=1)
                heard = filtered.tanh() * gate.sigmoid()
                half = heard.shape[1]
                skipped = skipped + heard @ weights.skips[:, layer * half : (layer + 1) * half].T
                if layer < len(weights.residuals):
                    change = torch.addmm(weights.residual_biases[layer], heard, weights.residuals[layer].T)
                    signal = (signal + change) * RESIDUAL_SCALE
            hidden = torch.addmm(weights.hidden_bias, skipped.relu(), weights.hidden.T).relu()
            logits = torch.addmm(weights.output_bias, hidden, weights.output.T)
            last = draw(logits, draws[:, step], levels=LEVELS)

    return run, steps


def single_stream(size: str, rounds: int) -> dict[str, object]:
    """Samples a second of each path, what the kernel is ahead by, and its share of the read bound."""
    weights, many = network(size).weights(), 3000 if size == "large" else 15_000
    fp32, bf16 = Kernel(weights, 1), Kernel(weights, 1, precision="bf16")
    arms = {
        "naive": advancing(filled(Naive(weights, 1)), 2),
        "plain queues": plain_queues(weights, 200),
        "queues": advancing(Queues(weights, 1), 300),
        "kernel fp32": advancing(fp32, many),
        "read fp32": (lambda: fp32.read_seconds(many), many),
        "kernel bf16": advancing(bf16, many),
        "read bf16": (lambda: bf16.read_seconds(many), many),
    }
    seconds = measured(arms, rounds)
    ahead = {
        f"{kernel} over {other}": round(ratio(seconds, other, kernel), 2)
        for kernel in ("kernel fp32", "kernel bf16")
        for other in ("naive", "plain queues", "queues")
    }
    shares = {kind: round(ratio(seconds, f"read {kind}", f"kernel {kind}"), 3) for kind in ("fp32", "bf16")}
    return {"samples_per_second": rates(seconds), "ahead": ahead, "share_of_the_read_bound": shares}


def default_threads(size: str, rounds: int) -> dict[str, float]:
    """Time with torch's threads as it starts with them, over that with one."""
    weights, many = network(size).weights(), 3000 if size == "large" else 15_000
    outcome, before = {}, torch.get_num_threads()
    for name, runner, steps in (("queues", Queues(weights, 1), 300), ("kernel", Kernel(weights, 1), many)):
        run, count = advancing(runner, steps)

        def with_threads(threads: int, run: Callable[[], object] = run) -> Callable[[], None]:
            def arm() -> None:
                torch.set_num_threads(threads)
                run()

            return arm

        seconds = measured({"one": (with_threads(1), count), "default": (with_threads(before), count)}, rounds)
        outcome[name] = round(ratio(seconds, "default", "one"), 3)
    torch.set_num_threads(before)
    return outcome


def aggregate(size: str, rounds: int) -> dict[str, float]:
    """Samples a second of several streams together, fp32, on one thread and on two."""
    weights, many = network(size).weights(), 3000 if size == "large" else 15_000
    arms = {
        f"{n} streams, {threads} threads": advancing(Kernel(weights, n, threads=threads), max(many // n, 100))
        for n in STREAMS
        for threads in (1, 2)
    }
    return rates(measured(arms, rounds))


class Bare(nn.Module):
    """The same network of conv1d layers, as one writes it by hand."""

    def __init__(self, *, dilations: tuple[int, ...], residual: int, gate: int, skip: int) -> None:
        super().__init__()
        self.dilations = dilations
        self.first = nn.Embedding(LEVELS, residual)
        self.gates = nn.ModuleList(nn.Conv1d(residual, gate, 2, dilation=dilation) for dilation in dilations)
        self.residuals = nn.ModuleList(nn.Conv1d(gate // 2, residual, 1) for _ in dilations)
        self.skips = nn.ModuleList(nn.Conv1d(gate // 2, skip, 1) for _ in dilations)
        self.hidden, self.output = nn.Conv1d(skip, skip, 1), nn.Conv1d(skip, LEVELS, 1)

    def forward(self, x: Tensor) -> Tensor:
        signal = self.first(x).transpose(1, 2)
        skipped: Tensor | float = 0.0
        layers = zip(self.dilations, self.gates, self.residuals, self.skips, strict=True)
        for dilation, gates, residual, skip in layers:
            filtered, gate = gates(pad(signal, (dilation, 0))).chunk(2, dim=1)
            heard = filtered.tanh() * gate.sigmoid()
            skipped = skipped + skip(heard)
            signal = (signal + residual(heard)) * RESIDUAL_SCALE
        logits: Tensor = self.output(self.hidden(torch.relu(torch.as_tensor(skipped))).relu())
        return logits.transpose(1, 2)


def training(model: nn.Module, *, bf16: bool) -> Arm:
    """One step of Adam on crops of random codes."""
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-4, fused=True)
    codes = torch.randint(LEVELS, (CROPS, LENGTH + 1), generator=torch.Generator().manual_seed(2))

    def run() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            logits = model(codes[:, :-1])
        loss = cross_entropy(logits.float().flatten(0, 1), codes[:, 1:].flatten())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    return run, CROPS * LENGTH


def throughput(size: str, rounds: int) -> dict[str, object]:
    """Samples a second of training and how far ours is ahead of the bare loop."""
    seconds = measured(
        {
            "ours": training(network(size), bf16=True),
            "ours fp32": training(network(size), bf16=False),
            "bare fp32": training(Bare(**SIZES[size]), bf16=False),  # type: ignore[arg-type]
        },
        rounds,
    )
    ahead = {arm: round(ratio(seconds, "bare fp32", arm), 3) for arm in ("ours", "ours fp32")}
    return {"samples_per_second": rates(seconds), "speed_over_the_bare_loop": ahead}


def measured(arms: dict[str, Arm], rounds: int) -> dict[str, list[float]]:
    """Seconds of each arm for one sample, in each round."""
    seconds = interleave({name: run for name, (run, _) in arms.items()}, rounds=rounds, warm_up=1)
    return {name: [each / arms[name][1] for each in rounds] for name, rounds in seconds.items()}


def rates(seconds: dict[str, list[float]]) -> dict[str, float]:
    """Samples a second, the median round."""
    return {arm: float(f"{1 / statistics.median(each):.4g}") for arm, each in seconds.items()}


def main() -> None:
    """Measures everything and keeps the outcome."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    outcome: dict[str, object] = {"instructions": level(), "rounds": rounds}
    for size in SIZES:
        outcome[size] = {
            "single_stream": single_stream(size, rounds),
            "time_with_default_threads_over_one": default_threads(size, rounds),
            "several_streams": aggregate(size, rounds),
            "training": throughput(size, max(rounds // 3, 3)),
        }
    save("wavenet", f"python -m benchmarks.wavenet --rounds {rounds}", outcome)
    for size in SIZES:
        print(size, outcome[size])


if __name__ == "__main__":
    main()
