"""What clients ask in the bench: their requests are made by real syncs, and the answers checked.

All clients of a bench hold keys of their own. Each first asks as one that knows nothing, and from
then on with the versions and the cursor of that answer. A client that is to find something new then
has one of its keys touched. So no two of them send the same request, nor the same cursor, and the
cursors of all but the last lie behind the server's, as they do when many people use a server.
"""

from __future__ import annotations

import http.client
import json
from pathlib import Path
from typing import Any

from bench.processes import TOKEN
from bench.report import CannotMeasure

CLIENTS = 100
BASE_PATH = "/reality"


class Asker:
    """Sends JSON to one server, over one connection."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)

    def post(self, path: str, body: bytes) -> Any:
        """The answer to a POST.

        Raises:
            CannotMeasure: its status is not 200.
        """
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {TOKEN}"}
        self._connection.request("POST", BASE_PATH + path, body, headers)
        answer = self._connection.getresponse()
        text = answer.read()
        if answer.status != http.client.OK:
            raise CannotMeasure(f"POST {path} was answered {answer.status}: {text[:200]!r}")
        return json.loads(text)

    def touch(self, keys: list[str]) -> None:
        """Say that keys changed."""
        self.post("/invalidate", json.dumps({"keys": keys}).encode())

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class Client:
    """One client: what it was told, and so what it asks."""

    def __init__(self, name: str, keys: list[str]) -> None:
        self._client_id = name
        self._known = dict.fromkeys(keys, 0)
        self._cursor: str | None = None

    def ask(self, asker: Asker) -> None:
        """Sync, and take the answer in."""
        answer = asker.post("/sync", self.body())
        self._known |= {key: node["version"] for key, node in answer["changed"].items()}
        # The TypeScript server has no cursors.
        self._cursor = answer.get("cursor")

    def body(self) -> bytes:
        """The request it would send now."""
        members: dict[str, Any] = {
            "known": self._known,
            "clientId": self._client_id,
            "mode": "native",
            "hint": "interaction",
        }
        if self._cursor is not None:
            members["cursor"] = self._cursor
        return json.dumps(members, separators=(",", ":")).encode()


def bodies(port: int, *, keys: int, changed: int) -> list[bytes]:
    """Requests of many clients, each for so many keys, of which so many have changed since.

    Raises:
        CannotMeasure: the server's answers are not what they must be.
    """
    asker = Asker(port)
    found = []
    for number in range(CLIENTS):
        names = [f"posts:{keys}:{number * keys + index}" for index in range(keys)]
        asker.touch(names)
        client = Client(f"00000000-0000-4000-8000-{number:012}", names)
        client.ask(asker)
        if news := names[1 : 1 + changed]:
            asker.touch(news)
        body = client.body()
        answer = asker.post("/sync", body)
        if list(answer["changed"]) != news or answer.get("reset"):
            raise CannotMeasure(f"{body!r} was answered {answer}; changed were {news}")
        found.append(body)
    asker.close()
    return found


def write_script(path: Path, requests: list[bytes]) -> None:
    """A script for wrk that sends these requests in turn, made beforehand."""
    lines = [
        'wrk.method = "POST"',
        'wrk.headers["Content-Type"] = "application/json"',
        "local bodies = {",
        *(f"  [==[{body.decode()}]==]," for body in requests),
        "}",
        "local requests, turn = {}, 0",
        "function init()",
        "  for i, body in ipairs(bodies) do requests[i] = wrk.format(nil, nil, nil, body) end",
        "end",
        "function request()",
        "  turn = turn % #requests + 1",
        "  return requests[turn]",
        "end",
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
