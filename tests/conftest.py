"""Fixtures shared by all rooms."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def headwater_data() -> Path:
    """The folder of real data with known answers; tests that need it skip where it is not given."""
    value = os.environ.get("HEADWATER_DATA")
    if not value or not Path(value).is_dir():
        pytest.skip("HEADWATER_DATA does not name a folder of real data")
    return Path(value)
