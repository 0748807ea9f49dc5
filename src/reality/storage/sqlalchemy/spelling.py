"""What SQLAlchemy, its users and its drivers call things, as data."""

from __future__ import annotations

CONNECT_TIMEOUT_S = 5

# What the store calls what SQLAlchemy calls so.
DIALECTS = {"postgresql": "postgres", "mysql": "mysql", "mariadb": "mysql", "sqlite": "sqlite"}

# URLs that leave the driver open, or are spelled as other programs spell them.
USUAL_DRIVERS = {
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mysql+pymysql",
}

# What installs the usual driver.
EXTRAS = {"postgresql": "postgres", "mysql": "mysql", "mariadb": "mysql"}

# What the extras bring; any other driver is installed by itself.
BROUGHT = ("psycopg", "pymysql", "greenlet")
# What installs a module, where that has another name.
DISTRIBUTIONS = {"MySQLdb": "mysqlclient", "psycopg2": "psycopg2-binary"}

# What each driver calls the timeout of a connection attempt, in seconds.
CONNECT_TIMEOUTS = {
    "psycopg": "connect_timeout",
    "psycopg2": "connect_timeout",
    "asyncpg": "timeout",
    "pymysql": "connect_timeout",
    "mysqldb": "connect_timeout",
    "asyncmy": "connect_timeout",
    "aiomysql": "connect_timeout",
}
