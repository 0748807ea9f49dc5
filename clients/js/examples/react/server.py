# ruff: noqa: INP001
"""The server of the example: FastAPI brings the posts, Reality tells pages when to ask for them.

Build the page once (`npm run build`), then `uvicorn server:app` in this folder.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

from fastapi import FastAPI, HTTPException
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel, StringConstraints

from reality import RealityServer

POSTS_MAX = 100


class Draft(BaseModel):
    """What a page sends. It chooses the id, and so knows its own post again."""

    id: Annotated[str, StringConstraints(min_length=1, max_length=36)]
    author: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=40)]
    text: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=280)]


class Post(Draft):
    """A post as every page shows it."""

    at: float  # seconds since the epoch
    likes: int = 0


posts: dict[str, Post] = {}  # in their order; gone when the process ends
reality = RealityServer()
app = FastAPI()
app.mount("/reality", reality.asgi())


@app.get("/api/posts")
async def latest() -> list[Post]:
    """All posts, the newest first."""
    return list(reversed(posts.values()))


@app.post("/api/posts", status_code=201)
async def add(draft: Draft) -> Post:
    """Put a post up."""
    post = posts.setdefault(draft.id, Post(**draft.model_dump(), at=time.time()))
    while len(posts) > POSTS_MAX:
        del posts[next(iter(posts))]
    await reality.invalidate("posts")
    return post


@app.post("/api/posts/{post_id}/like")
async def like(post_id: str) -> Post:
    """Count a like."""
    if post_id not in posts:
        raise HTTPException(404, "this post is gone")
    posts[post_id].likes += 1
    await reality.invalidate("posts")
    return posts[post_id]


app.mount("/", StaticFiles(directory=Path(__file__).parent / "dist", html=True))
