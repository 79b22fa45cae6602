"""What a user did wrong, said in one line: what was expected, what came, what to do."""

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(ValueError):
    """A mistake that the user can mend. The command line prints its one line and exits with its status."""

    exit_status = 2


class Diverged(UserError):
    """A number of a training, a weight or what a model gives, stopped being finite."""


def unknown(kind: str, name: str, known: Iterable[str]) -> UserError:
    """The error for a name that does not exist, with the nearest one that does.

    >>> str(unknown("metric", "fidd", ["fid", "kid"]))
    "unknown metric 'fidd', did you mean 'fid'? Known: fid, kid"
    """
    names = sorted(known)
    near = get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f", did you mean {near[0]!r}?" if near else "."
    return UserError(f"unknown {kind} {name!r}{hint} Known: {', '.join(names)}")
