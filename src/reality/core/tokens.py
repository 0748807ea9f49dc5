"""What may be a token, the credential for invalidating over HTTP."""

from __future__ import annotations

import re

TOKEN_CHARS_MIN = 8

_TOKEN = re.compile(r"[!-~]+")


def check_token(token: object) -> None:
    """Raise ValueError unless this can travel in an `Authorization` header and is no mere word."""
    if (
        not isinstance(token, str)
        or len(token) < TOKEN_CHARS_MIN
        or _TOKEN.fullmatch(token) is None
    ):
        raise ValueError(
            f"the token must be at least {TOKEN_CHARS_MIN} ASCII characters without spaces; make "
            "one with: python3 -c 'import secrets; print(secrets.token_urlsafe())'"
        )
