"""A script that used the blocking server, has a sync held in a thread, and ends."""

from __future__ import annotations

import sys
import threading

from reality import RealityServer, SyncRequest

server = RealityServer("alpha")
version = server.blocking.invalidate("a")["a"]
if "held" in sys.argv:
    request = SyncRequest(
        known={"a": version}, client_id="c", mode="native", hint="poll", wait=20_000
    )
    threading.Thread(target=server.blocking.sync, args=(request,), daemon=True).start()
    while not server.stats().waiters:
        pass
if "raise" in sys.argv:
    sys.exit(3)
