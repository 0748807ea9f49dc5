"""What goes on for ever is said once a minute."""

from __future__ import annotations

import logging
import time

_AGAIN_S = 60.0
_SUBJECTS_MAX = 256


class Complaints:
    """Warnings about what others do wrong: one a minute of each subject, and their number."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._said_at: dict[str, float] = {}
        self._unsaid: dict[str, int] = {}

    def say(self, subject: str, text: str, *arguments: object) -> None:
        """Warn about a subject, unless that was done within the last minute."""
        now_s = time.monotonic()
        if now_s - self._said_at.get(subject, float("-inf")) < _AGAIN_S:
            self._unsaid[subject] = self._unsaid.get(subject, 0) + 1
            return
        unsaid = self._unsaid.pop(subject, 0)
        self._said_at.pop(subject, None)
        while len(self._said_at) >= _SUBJECTS_MAX:
            oldest = next(iter(self._said_at))
            del self._said_at[oldest]
            self._unsaid.pop(oldest, None)
        self._said_at[subject] = now_s
        told = text % arguments
        self._logger.warning("%s%s", told, f" ({unsaid} times more)" if unsaid else "")
