"""Decodes OTLP/HTTP bodies.

JSON of real SDKs varies: ids in hexadecimal or base64, enums as names or numbers, integers as strings or numbers.
Source: https://opentelemetry.io/docs/specs/otlp/ and proto3's JSON mapping.
"""

from traces.otlp.decoded import Attributes, Decoded, DecodedSpan, OtlpError, Source, TooManySpans, iso_time, storable
from traces.otlp.json_body import decode_json
from traces.otlp.protobuf import decode_protobuf

__all__ = [
    "Attributes",
    "Decoded",
    "DecodedSpan",
    "OtlpError",
    "Source",
    "TooManySpans",
    "decode_json",
    "decode_protobuf",
    "iso_time",
    "storable",
]
