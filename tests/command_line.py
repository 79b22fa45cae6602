"""Commands as a user types them, for tests."""

import pytest

from noiseforge.cli import main


def said(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """Runs a command that must succeed; returns what it printed."""
    capsys.readouterr()
    assert main([str(word) for word in words]) == 0
    return capsys.readouterr().out


def refused(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """Runs a command that must fail as a user's mistake does; returns its one line."""
    capsys.readouterr()
    assert main([str(word) for word in words]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error
