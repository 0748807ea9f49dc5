"""Channels that carry hints and nothing else (invariant I5): read `base` first.

base        the port, and what a hint is
opening     accelerators by URL
redis       pub/sub of Redis or Valkey
postgres    NOTIFY of PostgreSQL
nats        a subject of NATS
"""
