"""Django, set up once, and a migrated database under an alias of its own for whoever asks."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import django
import pytest

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.contrib.django.settings"
django.setup()

from django.core.management import call_command  # noqa: E402
from django.db import connections  # noqa: E402

from tests.support.mariadb import MariaDBServer  # noqa: E402
from tests.support.postgres import PostgresServer  # noqa: E402

_ENGINES = {"postgresql": "django.db.backends.postgresql", "mysql": "django.db.backends.mysql"}
_numbers = itertools.count(1)

# Makes an empty database and gives its alias; migrated, unless it is told not to.
MakeDatabase = Callable[..., str]


@pytest.fixture
def make_sqlite(tmp_path: Path) -> Iterator[MakeDatabase]:
    made: list[str] = []

    def make(*, migrate: bool = True) -> str:
        path = tmp_path / f"{len(made)}.db"
        made.append(_add({"ENGINE": "django.db.backends.sqlite3", "NAME": str(path)}, migrate))
        return made[-1]

    yield make
    _remove(made)


@pytest.fixture
def make_postgres(postgres: PostgresServer) -> Iterator[MakeDatabase]:
    made: list[str] = []
    urls: list[str] = []

    def make(*, migrate: bool = True, **options: Any) -> str:
        urls.append(postgres.new_database())
        made.append(_add({**_by_url(urls[-1]), "OPTIONS": options}, migrate))
        return made[-1]

    yield make
    _remove(made)
    for url in urls:
        postgres.recycle(url)


@pytest.fixture
def make_mariadb(mariadb: MariaDBServer) -> Iterator[MakeDatabase]:
    made: list[str] = []

    def make(*, migrate: bool = True) -> str:
        made.append(_add(_by_url(mariadb.new_database()), migrate))
        return made[-1]

    yield make
    _remove(made)


@pytest.fixture(params=["sqlite", "postgres", "mariadb"])
def make_database(request: pytest.FixtureRequest) -> MakeDatabase:
    make: MakeDatabase = request.getfixturevalue(f"make_{request.param}")
    return make


def _by_url(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    return {
        "ENGINE": _ENGINES[parts.scheme],
        "HOST": parts.hostname,
        "PORT": parts.port,
        "USER": parts.username,
        "PASSWORD": unquote(parts.password or ""),
        "NAME": parts.path[1:],
    }


def _add(database: dict[str, Any], migrate: bool) -> str:
    alias = f"database{next(_numbers)}"
    filled = connections.configure_settings({"default": {}, alias: database})
    connections.settings[alias] = filled[alias]
    if migrate:
        call_command("migrate", "reality", database=alias, verbosity=0)
    connections[alias].close()
    return alias


def _remove(aliases: list[str]) -> None:
    for alias in aliases:
        connections[alias].close()
        if connections[alias].settings_dict["OPTIONS"].get("pool"):
            connections[alias].close_pool()  # type: ignore[attr-defined]
        del connections[alias]
        del connections.settings[alias]
