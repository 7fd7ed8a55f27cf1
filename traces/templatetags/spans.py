"""Template filters about spans."""

from django import template

from traces.models import hex_span_id

register = template.Library()

register.filter("hex_span_id", hex_span_id)
