"""Feature extractors: what turns examples into the vectors that metrics compare."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

from noiseforge.data.spec import Data, Spec
from noiseforge.data.split import seeded
from noiseforge.errors import UserError, unknown
from noiseforge.evaluation.judge import Progress, build_network, in_batches, weights_hash
from noiseforge.evaluation.judge_cache import judge_of

logger = logging.getLogger(__name__)

PIXEL_SIDE = 32
"""Larger pictures are averaged down to this side before their pixels are compared."""


class Extractor(NamedTuple):
    """Features of examples, and an identity: figures are comparable where the identities are equal."""

    id: str
    features: Callable[[Tensor], Tensor]
    """Examples (N, ...) in model units -> (N, d) float64 on the CPU, in batches of its own."""
    probabilities: Callable[[Tensor], Tensor] | None = None
    """Features (N, d) -> class probabilities (N, K) float64, where there are classes."""
    accuracy: float | None = None
    """Share of the test examples that are classified rightly; None unless the classes are the data's own."""


class Setting(NamedTuple):
    """Where an extractor runs, where judges are kept, and who is told of a judge's training."""

    device: torch.device
    cache: Path | None
    progress: Progress | None


def extractor(
    name: str,
    data: Data,
    *,
    device: str | torch.device = "cpu",
    cache: Path | None = None,
    progress: Progress | None = None,
) -> Extractor:
    """The extractor of that name, ready to use on examples like those of `data`.

    Args:
        name: `judge` (a classifier of the data's own classes, trained once and kept), `random` (a frozen network
            with seeded random weights), `pixels` (the values themselves), or `inception` (the FID's own Inception v3).
        data: what the examples are like, and what a judge is trained on.
        device: where networks run.
        cache: where judges are kept; `judge_cache.cache_folder()` by default.
        progress: called with the share of a judge's training that is done.

    Raises:
        UserError: an unknown name; a judge of data without labels; Inception without the extra or without pictures.
    """
    check_name(name)
    return EXTRACTORS[name](data, Setting(torch.device(device), cache, progress))


def check_name(name: str) -> None:
    """Refuses a name that no extractor has.

    Raises:
        UserError: with the nearest one that there is.
    """
    if name not in EXTRACTORS:
        raise unknown("features", name, EXTRACTORS)


def default_features(spec: Spec) -> str:
    """`judge` where there are classes to judge, else `random`."""
    if len(spec.classes) > 1:
        return "judge"
    logger.info("%s has no labels to train a judge on: features are those of a frozen random network", spec.source)
    return "random"


def average_down(x: Tensor, *, side: int = PIXEL_SIDE) -> Tensor:
    """Pictures (N, C, H, W) averaged down to at most `side`; anything smaller, or no picture, as it is."""
    if x.ndim != 4 or max(x.shape[2:]) <= side:
        return x
    return adaptive_avg_pool2d(x, side)


def pixels(x: Tensor) -> Tensor:
    """The values themselves (N, ...) -> (N, d) float64; large pictures averaged down to 32 by 32."""
    return average_down(x).flatten(1).cpu().double()


def pixel_identity(spec: Spec) -> str:
    """What figures made by `pixels` are labelled with."""
    smaller = spec.modality == "image" and max(spec.shape[1:]) > PIXEL_SIDE
    return f"pixels-{PIXEL_SIDE}" if smaller else "pixels"


def _judge(data: Data, setting: Setting) -> Extractor:
    judge = judge_of(data, device=setting.device, cache=setting.cache, progress=setting.progress)
    return Extractor(judge.id, judge.features, judge.probabilities, judge.accuracy)


def _random(data: Data, setting: Setting) -> Extractor:
    network = build_network(data.spec.shape, 1, seeded(0, "random features"))
    identity = f"random-{weights_hash(network)}"
    network = network.to(setting.device).eval().requires_grad_(False)
    return Extractor(identity, partial(in_batches, network.features, device=setting.device))


def _pixels(data: Data, setting: Setting) -> Extractor:
    return Extractor(pixel_identity(data.spec), pixels)


def _inception(data: Data, setting: Setting) -> Extractor:
    if data.spec.modality != "image" or data.spec.shape[0] not in (1, 3):
        raise UserError(
            f"Inception looks at grey or colour pictures, and {data.spec.source} holds {data.spec.modality} examples "
            f"{data.spec.shape}; use features=random"
        )
    network = _inception_network().to(setting.device).eval()
    weight = network.get_parameter("fc.weight").detach().cpu().double()

    def features(x: Tensor) -> Tensor:
        levels = ((x + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
        layers: tuple[Tensor, ...] = network(levels.expand(-1, 3, -1, -1))
        return layers[0]

    def probabilities(features: Tensor) -> Tensor:
        # Without the bias: what the Inception score is by convention computed from.
        return (features @ weight.T).softmax(1)

    return Extractor("inception-v3-fid", partial(in_batches, features, device=setting.device), probabilities)


def _inception_network() -> nn.Module:
    """The FID's own Inception v3, which resizes to 299 as TensorFlow 1 did; from the extra `[inception]`."""
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

        network: nn.Module = FeatureExtractorInceptionV3("inception-v3-compat", ["2048"])
    except Exception as error:
        # A torchvision built for another torch fails with a RuntimeError on import, an absent network with a URLError.
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(
            f"Inception features need noiseforge[inception], a torchvision that matches torch {torch.__version__}, and "
            f"once its weights from the network ({reason})"
        ) from error
    return network


EXTRACTORS: dict[str, Callable[[Data, Setting], Extractor]] = {
    "judge": _judge,
    "random": _random,
    "pixels": _pixels,
    "inception": _inception,
}
