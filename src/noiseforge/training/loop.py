"""The one loop. Players play in turn; the loop knows nothing else of a model."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from noiseforge.data.spec import Data
from noiseforge.errors import Diverged, UserError
from noiseforge.recipes.schema import Recipe
from noiseforge.training.monitor import Monitor
from noiseforge.training.players import Training
from noiseforge.training.processes import Processes
from noiseforge.training.progress import Clock, Progress, stop_requested
from noiseforge.training.record import Record, Tally
from noiseforge.training.run import Run

CHECK_EVERY = 20
"""Rounds between looks at the terms, each of which waits for the device."""
RECORDS, GRIDS, SAVES = 200, 20, 10
"""Lines of metrics.jsonl, sample grids and checkpoints in a run, where the recipe does not say."""


class Interrupted(UserError):
    """Ctrl-C or a termination signal came, and everything was saved."""

    exit_status = 130


def train(
    recipe: Recipe,
    data: Data,
    out: Path,
    *,
    resume: bool = False,
    device: str = "auto",
    progress: Callable[[Progress], None] | None = None,
) -> Run:
    """Trains what the recipe describes on the data, in the run folder `out`.

    Args:
        recipe: the whole of it; on resuming it may differ from the run's own where the networks stay the same.
        data: as `load_data` returns it.
        out: a new or empty folder, or with `resume` one that may hold a checkpoint.
        resume: go on from the last checkpoint, bit for bit on the CPU as if there had been no interruption;
            begin where there is none.
        device: auto, cpu, or an accelerator.
        progress: called a few times a second.

    Raises:
        Interrupted: after a signal, once everything is saved.
        Diverged: a term, a weight or a sample was not finite; the last good checkpoint is kept.
        UserError: the folder, the recipe or the data do not allow it.
    """
    processes = Processes.join(device)
    training = Training(recipe, data, processes)
    run = _resume(training, recipe, data, out) if resume else Run(out, recipe, data.spec)
    record = None
    if processes.writes:
        run.write(fresh=not resume)
        record = Record(out, resumed_at=training.images)
        save(training, run)
    processes.wait()
    monitor = Monitor(training.model, data, run.path, recipe.seed)
    with stop_requested() as stop, _divergence_told(training, run, record):
        _rounds(training, run, record, monitor, stop, progress)
    return run


def _resume(training: Training, recipe: Recipe, data: Data, out: Path) -> Run:
    """Loads the last checkpoint; a run that was killed before its first one begins anew."""
    run = Run(out, recipe, data.spec)
    if not run.resumable:
        return run
    if Run.open(out).spec.fingerprint != data.spec.fingerprint:
        raise UserError(f"{out} was trained on other data than {data.spec.source}: resume with the same --data")
    training.load(run.load_state())
    return run


def _rounds(
    training: Training,
    run: Run,
    record: Record | None,
    monitor: Monitor,
    stop: threading.Event,
    progress: Callable[[Progress], None] | None,
) -> None:
    """Rounds until the recipe's images are seen, with what is due in between."""
    settings, processes, total = training.settings, training.processes, training.settings.images
    every = settings.batch * max(1, total // RECORDS // settings.batch)
    grid_every = settings.sample_every or max(every, total // GRIDS)
    save_every = settings.save_every or max(every, total // SAVES)
    tally, clock = Tally(), Clock(training.images, total, run.spec.examples)
    rounds = 0
    while training.images < total:
        before = training.images
        tally.add(before, training.round())
        rounds += 1
        due = {n: training.images // n > before // n for n in (every, grid_every, save_every)}
        finished = training.images >= total
        if not (finished or any(due.values()) or rounds % CHECK_EVERY == 0 or (stop.is_set() and processes.count == 1)):
            continue
        stopping = processes.any(stop.is_set())
        tally.check()
        looking, saving = due[grid_every] or finished, due[save_every] or finished or stopping
        if looking or saving:
            training.check_weights()
        clock.tick(training.images)
        if due[every] or finished:
            means = tally.means()
            if record is not None:
                record.write("train", training.images, {**clock.record(), **means})
            clock.terms = means
        if progress is not None and processes.writes:
            progress(clock.progress())
        if record is not None and looking:
            with training.averaged():
                record.write("health", training.images, monitor.look(training.images))
        if record is not None and saving:
            save(training, run)
        if stopping and not finished:
            processes.wait()
            seen = f"{training.images:,} of {total:,} {run.spec.examples}"
            raise Interrupted(
                f"stopped after {seen}, everything is saved in {run.path}: "
                f"go on with `noiseforge train {run.path} --resume`"
            )
    processes.wait()
    if record is not None:
        record.close()


@contextmanager
def _divergence_told(training: Training, run: Run, record: Record | None) -> Iterator[None]:
    """Puts on record that the training diverged within the block, and says what is left and what to try."""
    try:
        yield
    except Diverged as error:
        if record is not None:
            record.write("diverged", training.images, {"reason": str(error)})
        kept = "the last good checkpoint is kept" if run.resumable else "there was no checkpoint yet"
        raise Diverged(
            f"{error}; {kept} in {run.path}. Try a lower learning rate, clip_norm=1 of that player, "
            "train.precision=fp32, or see `noiseforge diagnose`"
        ) from None


def save(training: Training, run: Run) -> None:
    """A checkpoint, then the averaged weights. The rounds come here only with weights that are finite."""
    run.save_state(training.state())
    with training.averaged() as model:
        run.save_model(model.state_dict())
