"""Forms that read the filter of a page from its query string."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, cast, override

from django import forms
from django.core.exceptions import ValidationError

from catalyst.pagination import Sort
from catalyst.params import MAX_ID_DIGITS, parse_number

NO_SUCH_CHOICE = "There is no such choice."


class TextField(forms.CharField):
    """A text to search for. Null characters are ignored: no stored text has any."""

    @override
    def to_python(self, value: Any) -> Any:
        return super().to_python(_without_nulls(value))

    @override
    def bound_data(self, data: Any, initial: Any) -> Any:
        return _without_nulls(super().bound_data(data, initial))


class NumberField(forms.Field):
    """A whole number from 0. Its input shows `initial` unless the query has a valid number."""

    default_error_messages = {"invalid": "Enter a whole number."}

    def __init__(self, *, max_digits: int = MAX_ID_DIGITS, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.max_digits = max_digits

    @override
    def to_python(self, value: Any) -> int | None:
        if value in self.empty_values:
            return None
        number = parse_number(value, self.max_digits)
        if number is None:
            raise ValidationError(self.error_messages["invalid"], code="invalid")
        return number

    @override
    def bound_data(self, data: Any, initial: Any) -> Any:
        number = parse_number(data, self.max_digits)
        return initial if number is None else number


class SortField(forms.Field):
    """A sort order: the key of a column, and `-` before it if the greatest value comes first."""

    default_error_messages = {"invalid": "The list has no such column."}

    def __init__(self, keys: Collection[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.keys = keys

    @override
    def to_python(self, value: Any) -> Sort | None:
        if value in self.empty_values:
            return None
        sort = Sort(value.removeprefix("-"), is_descending=value.startswith("-"))
        if sort.key not in self.keys:
            raise ValidationError(self.error_messages["invalid"], code="invalid")
        return sort


class FilterForm(forms.Form):
    """A form bound to a query string. Every field is optional; an invalid value filters nothing and has an error.

    Without `auto_id` the labels of the fields are their `aria-label`.
    """

    def __init__(self, params: Mapping[str, str], *, auto_id: str = "") -> None:
        super().__init__(params, auto_id=auto_id)
        for bound_field in self:
            bound_field.field.required = False
            bound_field.field.error_messages["invalid_choice"] = NO_SUCH_CHOICE
            if not auto_id:
                bound_field.field.widget.attrs["aria-label"] = bound_field.label

    def set_choices(self, name: str, choices: Iterable[tuple[object, str]]) -> None:
        """Set the choices of a select field that depend on the page. Others are valid, too."""
        cast(forms.Select, self.fields[name].widget).choices = list(choices)

    def sort_by(self, name: str, default: Sort) -> Sort:
        """The sort order of a SortField."""
        sort: Sort = self.valid_values.get(name, default)
        return sort

    @property
    def valid_values(self) -> dict[str, Any]:
        """The values that the query has and that are valid, by field."""
        self.is_valid()
        return {name: value for name, value in self.cleaned_data.items() if value not in (None, "")}


def _without_nulls(text: Any) -> Any:
    return text.replace("\0", "") if isinstance(text, str) else text
