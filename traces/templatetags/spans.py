"""Template filters for spans."""

from django import template

from traces.models.span import hex_span_id

register = template.Library()

register.filter("hex_span_id", hex_span_id)
