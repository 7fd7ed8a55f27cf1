"""The partitioned tables, and the days that are needed at once."""

from typing import Any

from django.db import migrations
from django.utils import timezone

from traces.store import partitions, schema


def make_days(*_: Any) -> None:
    """The days that are needed at once; the clock makes the later ones."""
    partitions.ensure(timezone.now())



class Migration(migrations.Migration):
    """Create the span and payload tables."""

    dependencies = [("traces", "0001_initial")]

    operations = [
        migrations.RunSQL(schema.SPAN, schema.DROP),
        migrations.RunSQL(schema.PAYLOAD, migrations.RunSQL.noop),
        migrations.RunSQL(schema.HOT_ROWS, migrations.RunSQL.noop),
        migrations.RunPython(make_days, migrations.RunPython.noop),
    ]
