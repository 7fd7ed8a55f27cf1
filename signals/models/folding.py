"""Append-only sums: triggers insert changes, and folding merges them into one row of each kind."""

from django.db import connection, models, transaction

MAX_CHANGES = 20_000


class FoldingQuerySet[Row: models.Model](models.QuerySet[Row]):
    """Rows of one kind add up. Never read a single row."""

    def fold(self, limit: int = MAX_CHANGES) -> int:
        """Merge up to `limit` changes. Return the number merged; repeat until it is 0."""
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(self._fold_statement(), [limit])
            folded, empty = cursor.fetchone()
            if empty:
                self.filter(id__in=empty).delete()
        return int(folded)

    def _fold_statement(self) -> str:
        """SQL with one parameter, the limit. Returns the number of merged changes and the ids of empty kinds."""
        raise NotImplementedError
