"""Fixtures shared by all tests: where the real data lies, and a cache that belongs to the test run alone."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data (MNIST, ...); a test that asks for it is skipped where it is absent."""
    root = Path(__file__).resolve().parent.parent
    folder = Path(os.environ.get("NOISEFORGE_TEST_DATA", root.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set NOISEFORGE_TEST_DATA")
    return folder


@pytest.fixture(autouse=True, scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Judges trained by tests are kept for the test run, away from the user's own cache."""
    folder = tmp_path_factory.mktemp("cache")
    os.environ["NOISEFORGE_CACHE"] = str(folder)
    return folder
