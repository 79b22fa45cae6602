"""The verbs of classifiers; each as those of `commands`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from noiseforge.commands import BadFile, Device, Json, Overwrite, RunFolder, Seed, app, command, open_terminal
from noiseforge.errors import UserError

SHOWN = 10
"""Answers in the terminal; a file holds all."""


@app.command()
def classify(
    run: RunFolder,
    source: Annotated[
        str | None,
        typer.Argument(metavar="[INPUT]", help="A table, arrays, or a source; default: the run's own test data."),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option("--out", help="Where to write all labels and probabilities (.csv), or the noise curve (.png)."),
    ] = None,
    noise_curve: Annotated[
        bool, typer.Option("--noise-curve", help="The accuracy at each level of a corruption.")
    ] = False,
    corruption: Annotated[str, typer.Option("--corruption", help="Of the noise curve.")] = "snr",
    levels: Annotated[str, typer.Option("--levels", help="Of the noise curve, with commas.")] = "20,10,5,0",
    against: Annotated[
        str | None, typer.Option("--against", metavar="RUN", help="Another classifier on the same noise curve.")
    ] = None,
    overwrite: Overwrite = False,
    on_bad_file: BadFile = "error",
    json_to: Json = None,
    seed: Seed = 0,
    device: Device = "auto",
) -> None:
    """Name the classes of sequences, or show how that holds out against noise."""
    chosen: dict[str, Any] = {"on_bad_file": on_bad_file, "seed": seed, "device": device, "out": out}
    chosen["overwrite"] = overwrite
    if noise_curve:
        _noise_curve([run, *([against] if against else [])], source, corruption, levels, json_to, chosen)
        return
    from noiseforge import api

    terminal = open_terminal(json_to)
    with terminal.progress("naming classes"):
        found = api.classify(run, source, **chosen)
    best = found.probabilities.max(1)
    rows = [(str(i), label, f"{best[i]:.1%}") for i, label in enumerate(found.labels[:SHOWN].tolist())]
    terminal.table(("sequence", "class", "probability"), rows)
    if len(best) > SHOWN:
        terminal.say(f"{SHOWN} of {len(best):,} are shown" + ("" if out else "; all go to --out labels.csv"))
    if found.figures:
        rows = [
            (f.metric, f"{f.value:.4g}", "–" if f.low is None else f"{f.low:.4g} to {f.high:.4g}")
            for f in found.figures
        ]
        terminal.table(("metric", "value", "95% interval"), rows)
    if out:
        terminal.say(f"Look at {out}")
    terminal.next(command("classify", run, "--noise-curve", "--out", "noise.png"), command("diagnose", run))
    terminal.finish(
        {
            "classes": found.classes,
            "labels": found.labels.tolist(),
            "probabilities": found.probabilities.tolist(),
            "figures": [figure.model_dump(mode="json") for figure in found.figures],
        }
    )


def _levels(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise UserError(f"--levels expects numbers with commas between them, such as 20,10,5,0, got {text!r}") from None


def _noise_curve(
    runs: list[str], source: str | None, corruption: str, levels: str, json_to: str | None, chosen: dict[str, Any]
) -> None:
    from noiseforge import api

    terminal = open_terminal(json_to)
    with terminal.progress("naming classes under noise"):
        curves = api.noise_curves(runs, source, corruption=corruption, levels=_levels(levels), **chosen)
    rows = [
        (name, point.corruption or "clean", f"{point.accuracy:.2%}", f"{point.low:.2%} to {point.high:.2%}")
        for name, points in curves.items()
        for point in points
    ]
    terminal.table(("run", "corruption", "accuracy", "95% interval"), rows)
    first = next(iter(curves.values()))[0]
    terminal.say(f"of {first.n:,} sequences" + (f": look at {chosen['out']}" if chosen["out"] else ""))
    terminal.next(command("train", "RECIPE", 'model.corrupt=["", "snr:5", "snr:0"]'))
    terminal.finish({name: [point._asdict() for point in points] for name, points in curves.items()})
