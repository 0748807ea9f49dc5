"""Every error that Reality raises, in one tree.

    RealityError
    ├── InvalidRequest          400  a message does not have the promised shape
    │   └── InvalidKey          400  a key or pattern breaks the grammar
    ├── LimitExceeded           422  more, or longer, than a limit allows
    │   ├── BodyTooLarge        413
    │   ├── TooManyWaiters      503  no more syncs can be held (retryable)
    │   └── TooManyOrigins      503  a graph knows as many origins as it may
    ├── Unauthorized            401  a credential is missing or wrong
    ├── MeshUnauthorized        401  a server's message is not signed, or not as it must be
    ├── Forbidden               403  the credential (or its absence) does not allow this
    ├── NotFound                404
    ├── MethodNotAllowed        405
    ├── UnsupportedMediaType    415
    ├── NotReady                503  the server may not answer syncs yet, or no longer
    ├── StorageError            503  the store failed; the subclass says how (retryable)
    │   ├── StorageUnavailable       it cannot be reached, or the connection was lost
    │   ├── StorageBusy              others have locked it for too long
    │   ├── StorageDenied            wrong credentials, a missing permission, a read-only file
    │   ├── StorageFull              there is no room left
    │   ├── StorageSchemaMissing     its tables are not there and could not be made
    │   └── StorageSchemaMismatch    it was made by a newer release, or by something else
    ├── AcceleratorUnavailable  503  a channel for hints is gone, or refuses (retryable)
    ├── ServerUnavailable       503  a client found no server that answers (retryable)
    ├── ProtocolError           502  an answer was not what PROTOCOL.md promises (retryable)
    ├── RemoteError                  a server refused a request; carries its status and code
    ├── BlockingInLoop               blocking code was called from an event loop's thread
    ├── Closed                       the client or server was already closed
    └── MissingDependency            an optional package is not installed (also an ImportError)

`code` is the stable, snake_case name that travels on the wire; `status` is the HTTP status that a
server answers with; `retryable` says whether the same request may succeed later.
"""

from __future__ import annotations


class RealityError(Exception):
    """Base of every error in this package."""

    code = "internal_error"
    status = 500
    retryable = False

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code


class InvalidRequest(RealityError, ValueError):
    """A message does not have the promised shape; the text names the member."""

    code = "invalid_request"
    status = 400


class InvalidKey(InvalidRequest):
    """A key or pattern breaks the grammar (see `reality.core.keys`)."""

    code = "invalid_key"


class LimitExceeded(RealityError, ValueError):
    """Something is larger, longer or more than a limit of `reality.Limits` allows."""

    code = "limit_exceeded"
    status = 422


class BodyTooLarge(LimitExceeded):
    """A request body has more bytes than `Limits.body_bytes_max`."""

    code = "body_too_large"
    status = 413


class TooManyWaiters(LimitExceeded):
    """The server holds as many syncs as it may, in all (503) or for one client (429)."""

    code = "too_many_waiters"
    status = 503
    retryable = True


class TooManyOrigins(LimitExceeded):
    """A graph would know more origins than `core.limits.ORIGINS_MAX`."""

    code = "too_many_origins"
    status = 503


class Unauthorized(RealityError):
    """The request needs a credential and carries none, or a wrong one."""

    code = "unauthorized"
    status = 401


class MeshUnauthorized(RealityError):
    """A message between servers is not signed with the mesh's secret.

    With a `nonce` the signature was right, so that the refusal can be signed as well: `code` is
    then `mesh_clock_skew` (the clocks differ too much) or `mesh_replayed` (it was sent before).
    """

    code = "mesh_unauthorized"
    status = 401

    def __init__(self, message: str, *, code: str | None = None, nonce: str | None = None) -> None:
        super().__init__(message, code=code)
        self.nonce = nonce


class Forbidden(RealityError):
    """The server does not allow this to anybody, or not to this asker."""

    code = "forbidden"
    status = 403


class NotFound(RealityError):
    """No route has this path."""

    code = "not_found"
    status = 404


class MethodNotAllowed(RealityError):
    """The route exists, but not with this method."""

    code = "method_not_allowed"
    status = 405


class UnsupportedMediaType(RealityError):
    """The body is not declared as JSON."""

    code = "unsupported_media_type"
    status = 415


class NotReady(RealityError):
    """The server has not started, or is stopping."""

    code = "not_ready"
    status = 503
    retryable = True


class StorageError(RealityError):
    """A store failed; the text names it and says what to do, the `__cause__` is the driver's.

    Over HTTP its text is not told: it may name hosts and files.
    """

    code = "storage_failed"
    status = 503
    retryable = True

    def again(self) -> StorageError:
        """The same failure as a new exception: many callers must not share one traceback."""
        another = type(self)(self.message, code=self.code)
        another.__cause__ = self.__cause__
        return another


class StorageUnavailable(StorageError):
    """The store cannot be reached, or the connection was lost: the work may have been done."""

    code = "storage_unavailable"


class StorageBusy(StorageError):
    """The store is locked by others for longer than was waited, or has too much to do."""

    code = "storage_busy"


class StorageDenied(StorageError):
    """The store refuses: wrong credentials, a missing permission, a read-only file or server."""

    code = "storage_denied"


class StorageFull(StorageError):
    """The store has no room left: a full disk, a quota, a memory limit."""

    code = "storage_full"


class StorageSchemaMissing(StorageError):
    """The store's tables are not there, and could not be made."""

    code = "storage_schema_missing"


class StorageSchemaMismatch(StorageError):
    """The store was made by a newer release of this package, or is something else altogether."""

    code = "storage_schema_mismatch"


class AcceleratorUnavailable(RealityError):
    """An accelerator cannot be reached, refuses, or has lost its connection.

    It stays inside the server, which works without: only latency suffers.
    """

    code = "accelerator_unavailable"
    status = 503
    retryable = True


class ServerUnavailable(RealityError):
    """None of the client's servers answered; the last failure is the `__cause__`.

    `retry_after_s` is the pause that the server to be asked next has asked for, in seconds; 0 if it
    has not.
    """

    code = "server_unavailable"
    status = 503
    retryable = True
    retry_after_s = 0.0


class ProtocolError(RealityError):
    """An answer came, but not one that PROTOCOL.md allows (a proxy's page, a cut body)."""

    code = "protocol_error"
    status = 502
    retryable = True


class RemoteError(RealityError):
    """A server refused a request. `status` and `code` are the server's."""

    code = "remote_error"

    def __init__(
        self, message: str, *, status: int, code: str, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message, code=code)
        self.status = status
        self.retryable = status in (408, 425, 429) or status >= 500
        self.retry_after_s = retry_after_s


class BlockingInLoop(RealityError, RuntimeError):
    """A blocking call was made in an event loop's thread, which it would freeze."""

    code = "blocking_in_loop"


class Closed(RealityError, RuntimeError):
    """The client or server was closed before this call."""

    code = "closed"


class MissingDependency(RealityError, ImportError):
    """An optional package is not installed; the text has the line that installs it."""

    code = "missing_dependency"

    def __init__(
        self, package: str, *, extra: str, needed_for: str, install: str | None = None
    ) -> None:
        self.package = package
        # `install` names what no extra brings; the extra then brings another that does as well.
        way = f"pip install 'reality-sync[{extra}]'"
        super().__init__(
            f"{needed_for} needs the package {package!r}, which is not installed. Install it with: "
            + (way if install is None else f"pip install {install} (the usual one is in: {way})")
        )
