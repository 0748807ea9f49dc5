"""Programs that some tests need and that not every machine has."""

from __future__ import annotations

import os
import shutil

import pytest

REQUIRE_ALL = os.environ.get("REALITY_REQUIRE_ALL") == "1"


def require_program(name: str, *, debian_package: str) -> str:
    """The program's path. Without it the test is skipped, or fails under REALITY_REQUIRE_ALL=1."""
    path = shutil.which(name)
    if path is None:
        reason = f"needs the program {name}: apt-get install {debian_package}"
        if REQUIRE_ALL:
            pytest.fail(reason)
        pytest.skip(reason)
    return path
