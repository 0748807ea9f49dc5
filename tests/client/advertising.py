"""Servers whose answers name peers: a wrapper for those in this process, and a program.

The program, for tests that kill servers: `python -m tests.client.advertising ID PORT STORE PEER…`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping

from reality.http.serving import serve
from reality.http.types import ASGIApplication, Message, Receive, Scope, Send
from tests.http.apps import ObservedServer

TOKEN = "the-token-of-the-servers"


class Advertising:
    """An ASGI application in front of a server's, that puts a map of peers into its answers.

    Attributes:
        peers: health by URL; may be changed.
        statuses: of the syncs answered so far.
        resets: how many of them were a reset.
        tokens: the credentials it was sent.
    """

    def __init__(self, app: ASGIApplication, peers: Mapping[str, str] | None = None) -> None:
        self.app = app
        self.peers = dict(peers or {})
        self.statuses: list[int] = []
        self.resets = 0
        self.tokens: list[bytes] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI's entry point."""
        self._note_token(scope)
        if scope["type"] != "http" or not scope["path"].endswith("/sync"):
            await self.app(scope, receive, send)
            return
        start: Message = {}

        async def rewrite(message: Message) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
                return
            body = json.loads(message["body"])
            self.statuses.append(start["status"])
            if start["status"] == 200:
                self.resets += body.get("reset", False)
                body["mesh"]["peers"] = self.peers
            text = json.dumps(body).encode()
            kept = [pair for pair in start["headers"] if pair[0] != b"content-length"]
            start["headers"] = [*kept, (b"content-length", b"%d" % len(text))]
            await send(start)
            await send({**message, "body": text})

        await self.app(scope, receive, rewrite)

    def _note_token(self, scope: Scope) -> None:
        if scope["type"] == "http":
            found = dict(scope["headers"]).get(b"authorization")
            self.tokens += [] if found is None else [found]


def main(server_id: str, port: str, store: str, *peers: str) -> None:
    """Serve until told to stop."""
    server = ObservedServer(server_id, storage=store, token=TOKEN)
    serve(
        Advertising(server.asgi(), dict.fromkeys(peers, "healthy")),
        host="127.0.0.1",
        port=int(port),
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
