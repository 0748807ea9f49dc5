"""What a server is made of, from the arguments that it was given."""

from __future__ import annotations

import re
import secrets
import socket
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING

from reality.core.cursor import is_server_id
from reality.core.limits import SERVER_ID_CHARS_MAX, Limits
from reality.core.tokens import check_token
from reality.server.state import MemoryState, State
from reality.server.store_state import StoreState
from reality.storage.base import BlockingStorage, Storage
from reality.storage.memory import MemoryStorage
from reality.storage.opening import shared_storage

if TYPE_CHECKING:
    from reality.accelerators.base import Accelerator
    from reality.mesh import Mesh
    from reality.server.acceleration import Acceleration
    from reality.server.meshing import ServerMesh


def checked_server_id(server_id: str | None) -> str:
    """The id, or one that is made of the host's name.

    Raises:
        ValueError: it is none.
    """
    if server_id is None:
        host = re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname())[: SERVER_ID_CHARS_MAX - 9]
        return f"{host}-{secrets.token_hex(4)}"
    if not isinstance(server_id, str) or not is_server_id(server_id):
        raise ValueError(
            f"server_id {server_id!r} must be 1 to {SERVER_ID_CHARS_MAX} letters, digits, "
            "dots, underscores and dashes"
        )
    return server_id


def check_options(
    *, base_path: object, token: str | None, limits: object, authorizer: object
) -> None:
    """Raise ValueError unless these can be."""
    if not isinstance(base_path, str) or (
        base_path and (not base_path.startswith("/") or base_path.endswith("/"))
    ):
        raise ValueError(f"base_path {base_path!r} must start with '/' and not end with it")
    if token is not None:
        check_token(token)
    if limits is not None and not isinstance(limits, Limits):
        raise ValueError(f"limits must be a Limits, got {limits!r}")
    if authorizer is not None and not iscoroutinefunction(getattr(authorizer, "may_read", None)):
        raise ValueError("the authorizer must have a method `async def may_read`")


def state_on(
    storage: MemoryStorage | Storage | BlockingStorage | str | None, server_id: str, limits: Limits
) -> State:
    """The state of a server on this store.

    Raises:
        ValueError: it is no store, nor the URL of one.
    """
    if storage is None or storage == "memory://":
        storage = MemoryStorage()
    if isinstance(storage, MemoryStorage):
        return MemoryState(server_id, storage, limits)
    return StoreState(server_id, shared_storage(storage), limits)


def mesh_of(mesh: Mesh | None, server_id: str, state: State, limits: Limits) -> ServerMesh | None:
    """A server's part in its mesh, if it has one.

    Raises:
        ValueError: it is no `Mesh`.
    """
    if mesh is None:
        return None
    from reality.mesh import Mesh
    from reality.server.meshing import ServerMesh

    if not isinstance(mesh, Mesh):
        raise ValueError(f"mesh must be a Mesh, got {mesh!r}")
    return ServerMesh(server_id, mesh, state, limits)


def acceleration_by(
    accelerator: Accelerator | None, state: State, mesh: ServerMesh | None
) -> Acceleration | None:
    """What a server does with its accelerator, if it has one.

    Raises:
        ValueError: it is none, or the server has nothing to look at.
    """
    if accelerator is None:
        return None
    if not hasattr(accelerator, "connect"):
        raise ValueError(
            f"accelerator must be one, such as RedisAccelerator(url), got {accelerator!r}"
        )
    if isinstance(state, MemoryState) and mesh is None:
        raise ValueError(
            "an accelerator makes servers look sooner at what they have in common, and a server "
            "that keeps its nodes in memory has nothing: give it a store, or a mesh"
        )
    from reality.server.acceleration import Acceleration
    from reality.server.hinted import Hinted

    return Acceleration(accelerator, Hinted(state, mesh), run=lambda: state.run)
