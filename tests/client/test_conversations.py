"""What a client sends and fetches, against `conformance/vectors/client.json`, over real HTTP."""

from __future__ import annotations

import json
from typing import Any

from reality import AsyncRealityClient
from reality.http.types import Receive, Scope, Send
from tests.client.support import Recorder, Source, until
from tests.core.vectors import each
from tests.support.hosting import hosted


def _scripted(exchanges: list[dict[str, Any]]) -> Recorder:
    """A server that gives the answers of a vector, one after the other."""
    answers = iter([exchange["answer"] for exchange in exchanges])

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        await receive()
        common = {"mesh": {"peers": {}, "serverVersion": 0}, "serverTime": 0}
        body = json.dumps({**common, **next(answers)}).encode()
        headers = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return Recorder(application)


@each("client.json", "conversations")
async def test_what_is_sent_and_fetched(case: dict[str, Any]) -> None:
    """I1: the cursor sent is one that may be, and no fetch is skipped by a hash alone."""
    exchanges = case["exchanges"]
    server = _scripted(exchanges)
    sources = {key: Source(data) for key, data in case["data"].items()}
    async with hosted(server) as url, AsyncRealityClient(url, live=False) as client:

        def is_fresh(key: str) -> bool:
            state = client.get_state(key)
            return state is not None and state.status == "idle" and state.last_sync_at is not None

        for key, source in sources.items():
            client.subscribe(key, fetcher=source)
        await until(lambda: all(is_fresh(key) for key in sources))
        for number, exchange in enumerate(exchanges):
            if number:
                calls = {key: source.calls for key, source in sources.items()}
                await client.sync_keys(exchange.get("keys", sources))
                # Taken in with the answer: a fetch that is due shows at once, one skipped never.
                due = [key for key in sources if not is_fresh(key)]
                await until(lambda: all(is_fresh(key) for key in sources))
                fetched = [key for key in sources if sources[key].calls > calls[key]]

                assert due == fetched == exchange["fetched"]
            sent = server.syncs[number]

            assert sent["known"] == exchange["known"]
            assert sent.get("cursor") == exchange["cursor"]
        assert len(server.syncs) == len(exchanges)
        assert exchanges[0]["fetched"] == list(sources)
