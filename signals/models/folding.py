"""Sums that are written as changes: triggers and statements add rows, and folding makes one row of a kind."""

from django.db import connection, models, transaction

MAX_CHANGES = 20_000


class FoldingQuerySet[Row: models.Model](models.QuerySet[Row]):
    """Rows of a kind add up: never read one alone."""

    def fold(self, limit: int = MAX_CHANGES) -> int:
        """Add up to `limit` changes to the rows of their kind; returns how many. Repeat until there is none."""
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(self._fold_statement(), [limit])
            folded, empty = cursor.fetchone()
            if empty:
                self.filter(id__in=empty).delete()
        return int(folded)

    def _fold_statement(self) -> str:
        """Takes the limit. Returns how many changes it folded, and the ids of the kinds that are empty now."""
        raise NotImplementedError
