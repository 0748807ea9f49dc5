"""The board, which the tests of this folder serve with uvicorn in a process of its own."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from pathlib import Path
from subprocess import Popen

from starlette.applications import Starlette

from reality.demo import demo_application
from tests.browser.served import serving_application

_DATABASE = "REALITY_TEST_DATABASE"


def serving_board(database: Path, port: int) -> AbstractContextManager[Popen[bytes]]:
    """The demo, with its posts in this file."""
    return serving_application(f"{__name__}:board", port, {_DATABASE: str(database)})


def board() -> Starlette:
    """What `serving_board` serves."""
    return demo_application(Path(os.environ[_DATABASE]))
