"""The mesh: servers that tell each other over HTTP what they know, without a leader.

`node` decides whom to call and when, without I/O; `runner` carries it out over `transport`, signed
by `signing`; `messages` is what is said. What a server knows, and how it takes in what others know,
is `reality.core.replica`.
"""

from __future__ import annotations

from reality.mesh.config import Mesh

__all__ = ["Mesh"]
