"""The verbs of models with an encoder, and of several models side by side; each as those of `commands`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer

from noiseforge.commands import BadFile, Device, Json, Overwrite, RunFolder, Seed, app, command, open_terminal

CodedSource = Annotated[
    str | None, typer.Argument(metavar="[SOURCE]", help="digits, a folder, .npy, ...; default: the run's own data.")
]
Part = Annotated[Literal["test", "train"], typer.Option("--part", help="Which part of the data.")]


@app.command()
def encode(
    run: RunFolder,
    out: Annotated[str, typer.Option("--out", help="A table (.csv) or arrays (.npz).")],
    source: CodedSource = None,
    part: Part = "test",
    n: Annotated[int | None, typer.Option("-n", "--count", min=1, help="How many, by chance; default: all.")] = None,
    overwrite: Overwrite = False,
    on_bad_file: BadFile = "error",
    json_to: Json = None,
    seed: Seed = 0,
    device: Device = "auto",
) -> None:
    """Reduce data to the codes of a trained encoder: a few numbers for each example."""
    from noiseforge import api

    terminal = open_terminal(json_to)
    chosen: dict[str, Any] = {"part": part, "n": n, "seed": seed, "device": device, "on_bad_file": on_bad_file}
    with terminal.progress("encoding"):
        codes = api.encode(run, source, out=out, overwrite=overwrite, **chosen)
    count, latent = codes.mean.shape
    terminal.say(f"{count:,} codes of {latent} numbers, mean and standard deviation: look at {out}")
    terminal.next(command("reconstruct", run, "--out", "reconstructions.png"))
    terminal.finish({"out": out, "n": count, "latent": latent, "part": part})


@app.command()
def reconstruct(
    run: RunFolder,
    out: Annotated[
        str, typer.Option("--out", help="Picture of the pairs (.png); of sound a folder of WAVs, or one .wav.")
    ],
    source: CodedSource = None,
    part: Part = "test",
    n: Annotated[int, typer.Option("-n", "--count", min=1, help="How many.")] = 32,
    overwrite: Overwrite = False,
    on_bad_file: BadFile = "error",
    json_to: Json = None,
    seed: Seed = 0,
    device: Device = "auto",
) -> None:
    """Show examples beside what is left of them after encoding and decoding; of sound, beside what a vocoder makes."""
    from noiseforge import api

    terminal = open_terminal(json_to)
    chosen: dict[str, Any] = {"part": part, "n": n, "seed": seed, "device": device, "on_bad_file": on_bad_file}
    with terminal.progress("reconstructing") as show:
        chosen["progress"] = lambda share: show(share, "generating")
        pairs = api.reconstruct(run, source, out=out, overwrite=overwrite, **chosen)
    measure, error = pairs.error()
    count = len(pairs.examples)
    terminal.say(f"{count} pairs, an example and its reconstruction, {measure} {error:.4g}: look at {out}")
    codes = [command("encode", run, "--out", "codes.csv")] if not pairs.sound else []
    terminal.next(command("evaluate", run), *codes)
    terminal.finish({"out": out, "n": count, measure.replace("-", "_").replace(" ", "_"): error})
