"""The demo: a message board for several people, kept fresh in every open page.

    app     the web application: its routes, with Reality mounted beside them
    board   the posts, rows of a SQLite file
    page/   what the browser gets: plain HTML, CSS and one script, no build step

`reality demo` serves it, in one process with the Reality server.
"""

from __future__ import annotations

from reality.demo.app import demo_application

__all__ = ("demo_application",)
