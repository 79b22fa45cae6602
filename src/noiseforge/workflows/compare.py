"""Runs on the same data, measured by the same protocol, side by side."""

from __future__ import annotations

import platform
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import torch

from noiseforge.data.builtin import mixture as known_mixture
from noiseforge.data.samples import Samples
from noiseforge.data.spec import Data
from noiseforge.errors import UserError
from noiseforge.evaluation.comparison_page import PAIRS, Pictures, write_comparison
from noiseforge.evaluation.evidence import images_seen
from noiseforge.evaluation.features import Extractor, check_name, default_features, extractor
from noiseforge.evaluation.hearing import heard, judged_by
from noiseforge.evaluation.run_comparison import Contender, RunComparison
from noiseforge.files import new_folder
from noiseforge.training.processes import choose_device
from noiseforge.training.run import POSTERIOR, Run
from noiseforge.workflows.measured import measured
from noiseforge.workflows.measurements import (
    TIMED,
    TIMED_CLIPS,
    likelihood,
    peak_memory,
    reconstruction,
    samples_per_second,
    training_seconds,
)
from noiseforge.workflows.posterior import Mixture
from noiseforge.workflows.subject import drawn, reference, subject_samples

Progress = Callable[[str, float], None]
Draw = Callable[[int, int], Samples]
"""Takes how many, and a seed."""


class Setting(NamedTuple):
    """What all contenders share."""

    data: Data
    features: str | Extractor
    n: int
    seed: int
    device: str


def compare_runs(
    runs: Sequence[Run],
    *,
    n: int | None = None,
    seed: int = 0,
    features: str | None = None,
    device: str = "auto",
    out: str | Path | None = None,
    progress: Progress | None = None,
) -> RunComparison:
    """Measures some runs on the data that all of them were trained on, by one protocol.

    A run with an encoder and a `posterior.npz` stands there twice: as it samples from its prior, and, under
    "NAME, mixture", from that mixture.

    Args:
        runs: two or more.
        n: samples of each; None takes the fewest that any of their recipes asks for.
        seed: of every draw.
        features: judge, random, pixels or inception; None takes the recipes' where they agree, or what fits.
        device: auto, cpu or cuda.
        out: folder of the page and of the JSON; None writes nothing.
        progress: called with what is being done and the share of all that is done.

    Raises:
        UserError: fewer than two runs, one twice, or of different data; the data has changed since; a setting
            that cannot be.
    """
    began = time.perf_counter()
    names = _names(runs)
    _check_same_data(runs)
    if features is not None:
        check_name(features)
    tell = progress or (lambda stage, share: None)
    setting = _setting(runs, n, seed, features, device, tell)
    with new_folder(Path(out)) if out is not None else nullcontext():  # before the work: what cannot be written
        found: list[tuple[Contender, Pictures]] = []
        for place, (name, run) in enumerate(zip(names, runs, strict=True)):
            found += _contenders(name, run, setting, _part(tell, place + 1, len(runs) + 1))
        identity = setting.features if isinstance(setting.features, str) else setting.features.id
        comparison = RunComparison(
            source=setting.data.spec.source,
            fingerprint=setting.data.spec.fingerprint,
            n=setting.n,
            seed=seed,
            features=identity,
            machine=_machine(device),
            contenders=tuple(contender for contender, _ in found),
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            seconds=round(time.perf_counter() - began, 3),
        )
        if out is not None:
            write_comparison(Path(out), comparison, [pictures for _, pictures in found], setting.data)
    tell("compared", 1.0)
    return comparison


# -- what is compared ------------------------------------------------------------------------------


def _names(runs: Sequence[Run]) -> list[str]:
    """The folders' names, or their paths where names are alike."""
    if len(runs) < 2:
        raise UserError(f"a comparison needs at least 2 runs, got {len(runs)}: name another")
    places = [run.path.resolve() for run in runs]
    if twice := [place for place, count in Counter(places).items() if count > 1]:
        raise UserError(f"{twice[0]} was named twice: name different runs")
    counts = Counter(place.name for place in places)
    return [place.name if counts[place.name] == 1 else str(run.path) for place, run in zip(places, runs, strict=True)]


def _check_same_data(runs: Sequence[Run]) -> None:
    first, *others = runs
    for run in others:
        if run.spec.fingerprint != first.spec.fingerprint:
            one, other = (f"{r.path} ({r.spec.source}, {r.spec.shape})" for r in (first, run))
            raise UserError(f"{one} and {other} were trained on different data: compare runs that share theirs")


def _setting(
    runs: Sequence[Run], n: int | None, seed: int, features: str | None, device: str, tell: Progress
) -> Setting:
    real, _ = reference(runs[0], None, "error")
    if real.spec.fingerprint != runs[0].spec.fingerprint:
        raise UserError(f"{real.spec.source} is no longer the data that {runs[0].path} was trained on: restore it")
    count = n if n is not None else min(run.recipe.evaluate.samples for run in runs)
    if count < 2:
        raise UserError(f"n must be >= 2, got {count}")
    asked = {run.recipe.evaluate.features for run in runs}
    seen = heard(real, by=judged_by(real.spec)) if real.spec.modality == "audio" else real
    name = features or (asked.pop() if len(asked) == 1 else None) or default_features(seen.spec)
    chosen = choose_device(device)
    if known_mixture(real.spec.source):  # its metrics ask for no features
        return Setting(real, name, count, seed, device)
    share = 1 / (len(runs) + 1)
    built = extractor(name, seen, device=chosen, progress=lambda done: tell("training the judge", done * share))
    return Setting(real, built, count, seed, device)


def _part(tell: Progress, place: int, count: int) -> Progress:
    """Tells of one of `count` equal parts as a share of the whole."""
    return lambda stage, share: tell(stage, (place + share) / count)


# -- one run ---------------------------------------------------------------------------------------


def _contenders(name: str, run: Run, setting: Setting, tell: Progress) -> Iterator[tuple[Contender, Pictures]]:
    """The run, and once more with the mixture that it keeps."""
    model: Any = run.load_model(setting.device)
    before, prior, after = (_part(tell, place, 3) for place in range(3))
    facts = {"run": str(run.path), "parameters": sum(parameter.numel() for parameter in model.parameters())}
    figures, kind = likelihood(model, setting.data, setting.seed, lambda share: before(f"{name}: likelihood", share))
    again = reconstruction(model, setting.data, setting.seed)
    beside = {
        "likelihood": figures,
        "likelihood_of": kind,
        "reconstruction": again.error if again else None,
        "training_seconds": training_seconds(run.records()),
        "peak_memory_bytes": peak_memory(run.records()),
    }

    def from_prior(n: int, seed: int) -> Samples:
        return subject_samples(run, model, setting.data, n, seed, "error")

    contender, samples = _sampled(name, run, setting, from_prior, {**facts, **beside}, prior)
    shown = (again.originals[:PAIRS], again.again[:PAIRS]) if again else (None, None)
    yield contender, Pictures(samples, *shown)
    if again and (run.path / POSTERIOR).is_file():
        draw = _mixture_draw(model, run.path / POSTERIOR)
        contender, samples = _sampled(f"{name}, mixture", run, setting, draw, facts, after)
        yield contender, Pictures(samples)


def _sampled(
    name: str, run: Run, setting: Setting, draw: Draw, facts: Mapping[str, Any], tell: Progress
) -> tuple[Contender, Samples]:
    """Evaluates what `draw` gives and takes its time; and the samples."""
    samples = draw(setting.n, setting.seed)
    evaluation = measured(
        samples,
        setting.data,
        features=setting.features,
        seed=setting.seed,
        subject=name,
        device=choose_device(setting.device),
        progress=lambda stage, share: tell(f"{name}: {stage}", share),
    ).model_copy(update={"images": images_seen(run.records())})
    batch = TIMED_CLIPS if setting.data.spec.modality == "audio" else TIMED
    speed = samples_per_second(draw, setting.seed, batch=batch)
    return Contender(name=name, evaluation=evaluation, samples_per_second=speed, **facts), samples


def _mixture_draw(model: Any, path: Path) -> Draw:
    mixture = Mixture.load(path)
    expected = (max(model.classes, 1), model.settings.latent)
    if (len(mixture.weights), mixture.latent) != expected:
        found = f"{len(mixture.weights)} of {mixture.latent} dimensions"
        raise UserError(
            f"{path} holds mixtures of another model: {found}, expected {expected[0]} of {expected[1]}; fit it again"
        )

    return lambda n, seed: drawn(model, n, None, seed, mixture=mixture)


def _machine(device: str) -> str:
    chosen = choose_device(device)
    named = getattr(torch.get_device_module(chosen), "get_device_name", None)
    kind = named(chosen) if named else platform.machine()
    return f"{chosen.type}, {kind}, {torch.get_num_threads()} threads"
