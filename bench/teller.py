"""A process that writes now and then: `python -m bench.teller URL` invalidates a key when told to.

For each line that it reads it pauses for so many seconds, invalidates, and prints as JSON when it
began and when the invalidation was done, both on the clock that all processes of a machine share.
"""

from __future__ import annotations

import json
import sys
import time

from reality import RealityServer

KEY = "posts"


def main() -> None:
    """The command line."""
    server = RealityServer("teller", storage=sys.argv[1])
    telling = server.blocking
    telling.invalidate(KEY)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        time.sleep(float(line))
        began_s = time.monotonic()
        telling.invalidate(KEY)
        sys.stdout.write(json.dumps([began_s, time.monotonic()]) + "\n")
        sys.stdout.flush()
    telling.stop()


if __name__ == "__main__":
    main()
