"""Decodes OTLP/HTTP bodies.

JSON of real SDKs varies: ids in hexadecimal or base64, enums as names or numbers, integers as strings or numbers.
Source: https://opentelemetry.io/docs/specs/otlp/ and proto3's JSON mapping.
"""

from traces.otlp.json_body import decode_json
from traces.otlp.protobuf import decode_protobuf
from traces.otlp.sent import Attributes, Decoded, OtlpError, SentSpan, Source, TooManySpans, iso_time, storable

__all__ = [
    "Attributes",
    "Decoded",
    "OtlpError",
    "SentSpan",
    "Source",
    "TooManySpans",
    "decode_json",
    "decode_protobuf",
    "iso_time",
    "storable",
]
