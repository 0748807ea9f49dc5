"""The command `reality`.

app         the commands and their options
serving     what serves: serve, demo
mesh        secrets, `reality peers`, and what `reality serve` needs of the mesh
talking     commands that ask a server: invalidate, get, health
stores      commands that work on a store: store show, store new-lineage, invalidate --store
watching    `reality watch`
options     options that several of them have
terminal    lines for people, and the end with a reason
"""

from __future__ import annotations

import sys

from reality.errors import MissingDependency


def main() -> None:
    """Run the command line; exits with 0, or 1 and a one-line reason, or 2 on wrong usage."""
    try:
        from reality.cli.app import run
    except ImportError as error:
        reason = (
            error
            if isinstance(error, MissingDependency)
            else MissingDependency(
                error.name or "?", extra="cli", needed_for="the command `reality`"
            )
        )
        sys.exit(f"reality: {reason}")
    run()
