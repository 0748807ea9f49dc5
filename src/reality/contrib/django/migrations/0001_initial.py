"""The three tables of schema version 1."""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations, models
from django.db.migrations.operations.base import Operation

from reality.contrib.django.fields import LongTextField, NameField, NumberField


class Migration(migrations.Migration):
    """Makes them."""

    initial = True
    operations: ClassVar[list[Operation]] = [
        migrations.CreateModel(
            name="Store",
            fields=[
                ("id", NumberField(primary_key=True, serialize=False)),
                ("schema_version", NumberField()),
                ("store_id", models.CharField(max_length=64)),
                ("lineage", models.CharField(max_length=64)),
                ("sequence", NumberField()),
                ("tag", NumberField()),
                ("register", NumberField()),
                ("touches", NumberField()),
            ],
            options={"db_table": "reality_store"},
        ),
        migrations.CreateModel(
            name="Log",
            fields=[
                ("sequence", NumberField(primary_key=True, serialize=False)),
                ("tag", NumberField()),
                ("touched", LongTextField()),
                ("hash", LongTextField()),
                ("updated_at", NumberField()),
                ("deleted", NumberField()),
            ],
            options={"db_table": "reality_log"},
        ),
        migrations.CreateModel(
            name="Node",
            fields=[
                ("name", NameField(primary_key=True, serialize=False)),
                ("sequence", NumberField()),
                ("touches", NumberField()),
                ("hash", LongTextField()),
                ("updated_at", NumberField()),
                ("deleted", NumberField()),
            ],
            options={
                "db_table": "reality_nodes",
                "indexes": [models.Index(fields=["sequence"], name="reality_nodes_sequence")],
            },
        ),
    ]
