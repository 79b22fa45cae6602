"""Trained judges, kept between evaluations: one safetensors file each, with its description in the header."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from pathlib import Path

import torch

from noiseforge.data.builtin import STACKED
from noiseforge.data.source import load_data
from noiseforge.data.spec import Data
from noiseforge.errors import UserError
from noiseforge.evaluation.judge import (
    Judge,
    Progress,
    StackedJudge,
    build_network,
    describe_judge,
    train_judge,
    weights_hash,
)
from noiseforge.files import replacing

logger = logging.getLogger(__name__)

VERSION = 1
"""Of the judge's network and training: raised when they change, so that older files are not found."""


def cache_folder() -> Path:
    """`NOISEFORGE_CACHE`, or noiseforge's folder in `XDG_CACHE_HOME`, or `~/.cache/noiseforge`."""
    if own := os.environ.get("NOISEFORGE_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "noiseforge"


def judge_of(
    data: Data,
    *,
    seed: int = 0,
    device: str | torch.device = "cpu",
    cache: Path | None = None,
    progress: Progress | None = None,
) -> Judge | StackedJudge:
    """The judge of a data set: read from the cache, or trained and kept there.

    Stacks of digits are judged channel by channel, by the judge of the digits that they are made of.

    Args:
        data: labelled.
        seed: of the training.
        device: where the judge runs.
        cache: folder; `cache_folder()` by default.
        progress: called with the share of a training that is done.

    Raises:
        UserError: the data has no labels.
    """
    if data.spec.source.startswith(STACKED):
        digits = load_data(data.spec.source.removeprefix(STACKED), size=data.spec.shape[-1])
        judge = judge_of(digits, seed=seed, device=device, cache=cache, progress=progress)
        if isinstance(judge, StackedJudge):
            raise TypeError("stacks of stacks are no data source")
        return StackedJudge(judge)
    description = json.dumps({"version": VERSION, **describe_judge(data.spec, seed)}, sort_keys=True)
    name = hashlib.sha256(description.encode()).hexdigest()[:16]
    path = (cache or cache_folder()) / "judges" / f"{name}.safetensors"
    if path.exists() and (kept := _read(path, data, torch.device(device))):
        return kept
    trained = train_judge(data, seed=seed, device=device, progress=progress)
    _write(path, trained, description)
    return trained


def _read(path: Path, data: Data, device: torch.device) -> Judge | None:
    """The judge in the file; None, and a warning, where the file is damaged."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            facts = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  it is no dictionary
        network = build_network(data.spec.shape, len(data.spec.classes), torch.Generator())
        network.load_state_dict(weights)
        if weights_hash(network) != facts["weights"]:
            raise ValueError("its weights are not those that were written")
        return Judge(network, float(facts["accuracy"]), device)
    except (SafetensorError, OSError, KeyError, ValueError, RuntimeError) as error:
        logger.warning("the kept judge %s cannot be read (%s); it is trained again", path, error)
        return None


def _write(path: Path, judge: Judge, description: str) -> None:
    from safetensors.torch import save

    weights = {name: tensor.cpu().contiguous() for name, tensor in judge.network.state_dict().items()}
    facts = {"weights": weights_hash(judge.network), "accuracy": repr(judge.accuracy), "judge": description}
    try:
        with replacing(path) as temporary:
            temporary.write_bytes(save(weights, facts))
    except UserError as error:
        logger.warning("the judge is not kept and will be trained again next time: %s", error)
