"""`python -m reality` is the command `reality`."""

from __future__ import annotations

from reality.cli import main

if __name__ == "__main__":
    main()
