"""All that is stored."""

from django.apps import apps
from django.db import connection


def stored_rows() -> set[str]:
    """Every row of every table of ours."""
    tables = [model._meta.db_table for model in apps.get_models()]
    queries = (f"SELECT '{table} ' || t::text FROM {table} t" for table in sorted(tables))
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(queries))
        return {row for (row,) in cursor.fetchall()}
