"""A Django project with nothing but Reality; its other databases come with the tests' servers."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pymysql

# As projects without a C compiler do it.
pymysql.install_as_MySQLdb()

FOLDER = tempfile.TemporaryDirectory(prefix="reality-tests-", ignore_cleanup_errors=True)
SECRET_KEY = "the tests' own"
INSTALLED_APPS = ["reality.contrib.django"]
DATABASES = {
    "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(Path(FOLDER.name) / "r.db")}
}
USE_TZ = True
