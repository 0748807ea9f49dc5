"""`POST /mesh/…`: other servers of the mesh, and operators who have its secret."""

from __future__ import annotations

from reality.errors import MeshUnauthorized, NotFound
from reality.http.problems import problem, refusal
from reality.http.types import Request, Response
from reality.server.server import RealityServer

MESH_PREFIX = "/mesh/"


async def from_peer(server: RealityServer, request: Request) -> Response:
    """An authentic request, answered; the answer is signed as well, also if it is a refusal."""
    mesh = server.mesh
    if mesh is None:
        raise NotFound("this server is in no mesh: give it `mesh=Mesh(...)`, or --peer")
    headers = {
        name.decode("latin-1"): value.decode("latin-1") for name, value in request.headers.items()
    }
    try:
        nonce = mesh.authenticate(request.path, headers, request.body)
    except MeshUnauthorized as error:
        answer = problem(error)
        return answer if error.nonce is None else _signed(server, error.nonce, answer)
    try:
        answer = Response(await mesh.answer(request.path, request.body))
    except Exception as error:  # noqa: BLE001  # each is answered, and logged where it should be
        answer = refusal(error, request)
    return _signed(server, nonce, answer)


def _signed(server: RealityServer, nonce: str, answer: Response) -> Response:
    assert server.mesh is not None, "only servers in a mesh sign"
    for name, value in server.mesh.signed(nonce, answer.status, answer.body).items():
        answer.headers.append((name.lower().encode(), value.encode()))
    return answer
