"""The tables of a store, as `reality.storage.sql.statements` makes them.

They are here for migrations. Rows are read and written by `DjangoStorage` only: a touch that is
saved through a model has no sequence, and nobody would hear of it.
"""

from __future__ import annotations

from django.db import models

from reality.contrib.django.fields import LongTextField, NameField, NumberField


class Store(models.Model):
    """One row: the store's identity, and where it stands."""

    id = NumberField(primary_key=True)
    schema_version = NumberField()
    store_id: models.CharField[str, str] = models.CharField(max_length=64)
    lineage: models.CharField[str, str] = models.CharField(max_length=64)
    sequence = NumberField()
    tag = NumberField()
    register = NumberField()
    touches = NumberField()

    class Meta:
        """Where it is."""

        db_table = "reality_store"


class Log(models.Model):
    """One row a batch."""

    sequence = NumberField(primary_key=True)
    tag = NumberField()
    touched = LongTextField()
    hash = LongTextField()
    updated_at = NumberField()
    deleted = NumberField()

    class Meta:
        """Where it is."""

        db_table = "reality_log"


class Node(models.Model):
    """One row a key or pattern."""

    name = NameField(primary_key=True)
    sequence = NumberField()
    touches = NumberField()
    hash = LongTextField()
    updated_at = NumberField()
    deleted = NumberField()

    class Meta:
        """Where it is."""

        db_table = "reality_nodes"
        indexes = (models.Index(fields=["sequence"], name="reality_nodes_sequence"),)
