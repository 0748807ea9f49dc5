"""The applications that the tests of this folder serve with uvicorn, in a process of their own."""

from __future__ import annotations

import itertools
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from subprocess import Popen
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route

from reality import RealityServer
from tests.support.processes import serving

TOKEN = "correct-horse-battery"
_ROOT = Path(__file__).parents[2]


def serving_playground(port: int) -> AbstractContextManager[Popen[bytes]]:
    """An empty page, Reality, and servers that misbehave."""
    return serving_application(f"{__name__}:playground", port)


def serving_application(
    factory: str, port: int, environment: dict[str, str] | None = None
) -> AbstractContextManager[Popen[bytes]]:
    """Serve what a function of a module gives, written as `module:function`."""
    program = [sys.executable, "-m", "uvicorn", "--factory", factory]
    options = f"--host 127.0.0.1 --port {port} --log-level warning --app-dir".split()
    return serving(
        [*program, *options, str(_ROOT)],
        ready_url=f"http://127.0.0.1:{port}/",
        environment=environment,
    )


def playground() -> Starlette:
    """What `serving_playground` serves."""
    reality = RealityServer(token=TOKEN)
    return Starlette(
        routes=[
            Route("/", lambda _: HTMLResponse("<!doctype html><title>Playground</title>")),
            Route("/favicon.ico", lambda _: Response(status_code=204)),
            Mount("/reality", app=reality.asgi()),
            *(
                Route(f"/{name}/sync", _misbehaving(answer), methods=["POST"])
                for name, answer in _MISBEHAVIOUR.items()
            ),
        ]
    )


def counting(reality: RealityServer) -> tuple[Counter[str], list[Route]]:
    """Counts by key: `POST /touch/KEY` counts one up and invalidates, `GET /api/KEY` tells it."""
    counts: Counter[str] = Counter()

    async def touch(request: Request) -> Response:
        key = request.path_params["key"]
        counts[key] += 1
        await reality.invalidate(key)
        return Response(status_code=204)

    def api(request: Request) -> Response:
        return JSONResponse({"count": counts[request.path_params["key"]]})

    return counts, [Route("/touch/{key}", touch, methods=["POST"]), Route("/api/{key}", api)]


_versions = itertools.count(1)


def _always_news(known: dict[str, int]) -> Response:
    return _answer({key: next(_versions) for key in known}, cursor="any")


def _always_reset(known: dict[str, int]) -> Response:
    return _answer(dict.fromkeys(known, 7), cursor="any", reset=True)


def _spread(known: dict[str, int]) -> Response:
    return _answer({key: known[key] + 1 for key in known}, cursor="any", spreadMs=10**9)


def _never_held(known: dict[str, int]) -> Response:
    return _answer({}, cursor="any")


def _zero_for_unknown_keys(known: dict[str, int]) -> Response:
    """As the npm server answers."""
    return _answer({key: 0 for key, version in known.items() if version == 0})


def _busy(known: dict[str, int]) -> Response:
    return JSONResponse(
        {"error": "too many", "code": "too_many_waiters"},
        status_code=503,
        headers={"Retry-After": "1"},
    )


def _unwilling_to_hold(known: dict[str, int]) -> Response:
    answer = _answer({}, cursor="any")
    answer.headers["Retry-After"] = "1"
    return answer


def _not_reality(known: dict[str, int]) -> Response:
    return HTMLResponse("<p>Please log in")


_MISBEHAVIOUR: dict[str, Callable[[dict[str, int]], Response]] = {
    "always-news": _always_news,
    "always-reset": _always_reset,
    "spread": _spread,
    "never-held": _never_held,
    "zero-for-unknown-keys": _zero_for_unknown_keys,
    "busy": _busy,
    "unwilling-to-hold": _unwilling_to_hold,
    "not-reality": _not_reality,
}


def _misbehaving(answer: Callable[[dict[str, int]], Response]) -> Callable[[Request], Any]:
    async def handler(request: Request) -> Response:
        return answer((await request.json())["known"])

    return handler


def _answer(versions: dict[str, int], **members: object) -> Response:
    changed = {key: {"version": version, "hash": ""} for key, version in versions.items()}
    mesh = {"peers": {}, "serverVersion": 1}
    return JSONResponse({"changed": changed, "mesh": mesh, "serverTime": 1, **members})
