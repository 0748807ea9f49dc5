"""What a server owes its accelerator: the greatest sequence of each origin that is not told yet."""

from __future__ import annotations

import threading

from reality.core.limits import ORIGINS_MAX


class Owed:
    """Kept until they are taken. Safe to share by threads.

    Attributes:
        is_pending: whether something is owed, or taken and perhaps not told yet.
        dropped: hints of origins that came before the last 64.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sequences: dict[str, int] = {}
        self.is_pending = False
        self.dropped = 0

    def add(self, origin: str, sequence: int) -> bool:
        """Owe this; whether nothing else was owed."""
        with self._lock:
            is_first = not self._sequences
            self.is_pending = True
            self._sequences[origin] = max(sequence, self._sequences.get(origin, 0))
            if len(self._sequences) > ORIGINS_MAX:
                del self._sequences[next(iter(self._sequences))]
                self.dropped += 1
            return is_first

    def take(self) -> tuple[str, int] | None:
        """An origin and its sequence. It is told, or failed, by the next call."""
        with self._lock:
            self.is_pending = bool(self._sequences)
            return self._sequences.popitem() if self._sequences else None
