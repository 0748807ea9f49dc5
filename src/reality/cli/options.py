"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

PORT = 3456
DEFAULT_URL = f"http://127.0.0.1:{PORT}"
STORE_HELP = "Where nodes are kept: sqlite:////FILE, postgresql://, mysql://, redis://, dynamodb://"

Store = Annotated[
    str, typer.Option("--store", envvar="REALITY_STORE", show_envvar=True, help=STORE_HELP + ".")
]
Url = Annotated[
    str,
    typer.Option(
        "--url", envvar="REALITY_URL", help="The server; without a path, /reality is meant."
    ),
]
Token = Annotated[
    str | None,
    typer.Option(
        "--token", envvar="REALITY_TOKEN", help="The credential for invalidating over HTTP."
    ),
]
SecretFile = Annotated[
    Path | None,
    typer.Option(
        "--secret-file",
        metavar="FILE",
        help="The mesh's secrets, one a line; the first signs. REALITY_MESH_SECRET has the same.",
    ),
]
Host = Annotated[str, typer.Option("--host", help="The address to listen on.")]
Port = Annotated[int, typer.Option("--port", min=1, max=65_535, help="The TCP port to listen on.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
