"""The way into the command line and out of it: whatever goes wrong becomes one line and an exit status.

0 done; 1 a fault in noiseforge; 2 a mistake that the user can mend; 130 interrupted.
"""

from __future__ import annotations

import errno
import logging
import os
import sys
import warnings
from typing import Any

import typer

from noiseforge import coding_commands, judging_commands, recognition_commands  # noqa: F401 (each adds its verbs)
from noiseforge.commands import app
from noiseforge.errors import UserError

UsageError = typer.BadParameter.__mro__[1]
"""What typer raises for a wrong command or option: click's class, or that of typer's own copy of click."""
PLACES = "free some space or choose another place"
ADVICE = {
    errno.ENOSPC: PLACES,
    errno.EDQUOT: PLACES,
    errno.EACCES: "choose a place that you have the right to",
    errno.EPERM: "choose a place that you have the right to",
    errno.EROFS: "choose a place that can be written to",
}
"""What to do when the system refuses a file; for other refusals, to check the path."""
NO_MEMORY = "DefaultCPUAllocator"
"""In what torch says where a tensor does not fit into memory; its own class of errors is for other devices."""


def main(arguments: list[str] | None = None) -> int:
    """Runs one command and returns its exit status.

    With NOISEFORGE_DEBUG=1 in the environment every error keeps its traceback.
    """
    logging.basicConfig(format="noiseforge: %(message)s", level=logging.WARNING)
    words = sys.argv[1:] if arguments is None else arguments
    debugging = os.environ.get("NOISEFORGE_DEBUG") == "1"
    try:
        with warnings.catch_warnings():
            if not debugging:
                warnings.simplefilter("ignore")  # of libraries, to their callers; ours are logged
            status = app(words or ["--help"], prog_name="noiseforge", standalone_mode=False)
        sys.stdout.flush()
        if status == 130:  # typer's own way of saying that Ctrl-C came
            raise KeyboardInterrupt
        return status if isinstance(status, int) else 0
    except (KeyboardInterrupt, typer.Abort):
        return _say("interrupted: run it again; `train` goes on from its last checkpoint with --resume", 130)
    except BrokenPipeError:
        _abandon_output()
        return 1
    except Exception as error:
        if debugging:
            raise
        return _say(*_explained(error))


def _explained(error: Exception) -> tuple[str, int]:
    """The one line for an error, and the exit status."""
    if isinstance(error, UserError):
        return str(error), error.exit_status
    if isinstance(error, UsageError):
        return _usage(error), 2
    if isinstance(error, OSError) and (error.errno in ADVICE or error.filename):
        where = f": {error.filename}" if error.filename else ""
        return f"{error.strerror}{where}; {ADVICE.get(error.errno or 0, 'check the path')}", 2
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or NO_MEMORY in str(error):
        return "out of memory: lower train.batch, the size of the networks, -n, or --seconds", 2
    kind = type(error).__name__
    return f"internal error ({kind}: {error}); set NOISEFORGE_DEBUG=1 to see where, and please report it", 1


def _usage(error: Any) -> str:
    """A wrong command or option, what was meant, and where to look."""
    near = getattr(error, "possibilities", None)
    message = f"{error.message}, did you mean {' or '.join(near)}" if near else error.format_message()
    command = error.ctx.command_path if error.ctx is not None else "noiseforge"
    return f"{message.rstrip('.?')}; see `{command} --help`"


def _say(message: str, status: int) -> int:
    """One line on standard error; what stands in standard output's buffer goes out, or is given up."""
    print("noiseforge:", " ".join(message.split()), file=sys.stderr)
    try:
        sys.stdout.flush()
    except OSError:
        _abandon_output()
    return status


def _abandon_output() -> None:
    """Sends the rest of standard output nowhere, so that the interpreter does not fail on it at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
