"""The verbs that judge: samples, trainings, and several trainings side by side; each as those of `commands`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from noiseforge.commands import (
    BadFile,
    Device,
    Json,
    NoDevice,
    NoSeed,
    Overwrite,
    RunFolder,
    Seed,
    Source,
    app,
    command,
    evaluated,
    open_terminal,
)

Subject = Annotated[
    str,
    typer.Argument(metavar="RUN_OR_SAMPLES", help="Folder of a training, folder of pictures or sound, .npy or .npz."),
]


@app.command()
def neighbours(
    subject: Subject,
    out: Annotated[str, typer.Option("--out", help="Picture of the pairs (.png); of sound, of spectrograms.")],
    n: Annotated[int, typer.Option("-n", "--count", min=1, help="How many samples.")] = 16,
    source: Source = None,
    overwrite: Overwrite = False,
    on_bad_file: BadFile = "error",
    json_to: Json = None,
    seed: Seed = 0,
    device: Device = "auto",
) -> None:
    """Show samples beside their nearest training examples: are they copies?"""
    from noiseforge import api

    terminal = open_terminal(json_to)
    chosen: dict[str, Any] = {
        "data": source,
        "n": n,
        "seed": seed,
        "device": device,
        "on_bad_file": on_bad_file,
    }
    with terminal.progress("searching"):
        found = api.neighbours(subject, out=out, overwrite=overwrite, **chosen)
    terminal.say(f"{len(found.samples)} pairs, each a sample and its nearest training example: look at {out}")
    against = ("--data", source) if source else ()
    terminal.next(command("evaluate", subject, "--metrics", "nearest_ratio", *against))
    terminal.finish({"out": out, "distances": found.distances.tolist(), "indices": found.indices.tolist()})


@app.command()
def evaluate(
    subject: Subject,
    source: Source = None,
    features: Annotated[
        str | None,
        typer.Option("--features", help="judge, random, pixels or inception; default: the recipe's."),
    ] = None,
    metrics: Annotated[
        str | None,
        typer.Option("--metrics", help="Some of them, with commas: fid,kid; default: all that fit."),
    ] = None,
    n: Annotated[int | None, typer.Option("-n", "--count", min=2, help="Samples to look at.")] = None,
    out: Annotated[str | None, typer.Option("--out", help="Folder of the report; default: inside the run.")] = None,
    on_bad_file: BadFile = "error",
    json_to: Json = None,
    seed: Seed = 0,
    device: Device = "auto",
) -> None:
    """Measure samples against real data, and write a report to look at."""
    names = None if metrics is None else tuple(name.strip() for name in metrics.split(",") if name.strip())
    chosen: dict[str, Any] = {"data": source, "features": features, "metrics": names, "n": n}
    chosen |= {"on_bad_file": on_bad_file, "seed": seed, "device": device, "out": out}
    from noiseforge import api

    terminal = open_terminal(json_to)
    evaluation, report = evaluated(terminal, subject, **chosen)
    terminal.say(f"Look at {report}")
    against = ("--data", source) if source else ()
    run = api.opened_run(subject) if api.is_run(subject) else None
    if run and api.to_show(run)[0] == "classify":
        given = (source,) if source else ()
        terminal.next(command("classify", subject, *given, "--noise-curve", "--out", "noise.png"))
    else:
        terminal.next(command("neighbours", subject, "--out", "neighbours.png", *against))
    if run:
        terminal.next(command("diagnose", subject))
    terminal.finish({**evaluation.model_dump(mode="json"), "report": str(report)})


@app.command()
def diagnose(
    run: RunFolder,
    json_to: Json = None,
    seed: NoSeed = None,
    device: NoDevice = None,
) -> None:
    """Say whether a training collapses, diverges or memorises, with the numbers behind it."""
    from noiseforge import api
    from noiseforge.terminal import show_diagnosis

    terminal = open_terminal(json_to)
    diagnosis = api.diagnose(run)
    show_diagnosis(terminal, diagnosis)
    terminal.next(command("evaluate", run))
    terminal.finish(diagnosis.model_dump(mode="json"))


@app.command()
def compare(
    runs: Annotated[list[str], typer.Argument(metavar="RUN RUN [...]", help="Trainings on the same data.")],
    out: Annotated[str, typer.Option("--out", help="Folder of the page.")] = "reports/comparison",
    n: Annotated[int | None, typer.Option("-n", "--count", min=2, help="Samples of each.")] = None,
    features: Annotated[
        str | None, typer.Option("--features", help="judge, random, pixels or inception; default: what fits.")
    ] = None,
    json_to: Json = None,
    seed: Seed = 0,
    device: Device = "auto",
) -> None:
    """Put trainings side by side: the same data, features and counts in one table and on one page."""
    from noiseforge import api

    terminal = open_terminal(json_to)
    with terminal.progress("comparing") as show:
        comparison = api.compare(
            runs,
            n=n,
            seed=seed,
            features=features,
            device=device,
            out=out,
            progress=lambda stage, share: show(share, stage),
        )
    terminal.table(*comparison.table())
    terminal.say(f"* marks the best of a row. Look at {out}/index.html")
    terminal.next(command("diagnose", runs[0]))
    terminal.finish({**comparison.model_dump(mode="json"), "report": f"{out}/index.html"})
