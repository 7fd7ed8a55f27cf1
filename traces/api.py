"""OTLP/HTTP in: who may post, how much, in what encoding; then decode and store. 200 means committed."""

import logging
import zlib
from collections.abc import Callable
from datetime import datetime

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db import DataError
from django.db import Error as DatabaseError
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST
from google.protobuf.json_format import MessageToJson
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from catalyst.core import keys
from catalyst.core.models import ApiKey
from traces import ingest
from traces.group_commit import Full, GroupCommit
from traces.limits import Cut, Limits, fit
from traces.otlp import Decoded, OtlpError, TooManySpans, decode_json, decode_protobuf

logger = logging.getLogger(__name__)
writer = GroupCommit(ingest.write, settings.INGEST_QUEUE_SPANS)

JSON, PROTOBUF = "application/json", "application/x-protobuf"
DECODERS: dict[str, Callable[[bytes, int], Decoded]] = {JSON: decode_json, PROTOBUF: decode_protobuf}
SLICE = 64 * 1024
MAX_MEMBERS = 1_000
FULL = "More spans wait to be stored than may; nothing of this request was stored. Send it again."
BUSY = "The database can't take spans now; nothing of this request was stored. Send it again."
RETRY_AFTER_SECONDS = 5
_RPC_CODES = {400: 3, 401: 16, 403: 7, 413: 8, 415: 3, 503: 14}


class Refused(Exception):
    """A request that is answered with an error; the message goes to the sender."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@csrf_exempt
@login_not_required
@require_POST
def export_traces(request: HttpRequest) -> HttpResponse:
    """Take an ExportTraceServiceRequest. Answers in the encoding of the request, errors too."""
    encoding = request.content_type if request.content_type in DECODERS else JSON
    try:
        now = timezone.now()
        key = _authenticate(request, now)
        decoded, cut = _decode(request)
        arrival = ingest.read(key.project_id, decoded.spans, now)
        writer.write(arrival)
        ApiKey.objects.mark_used(key, now)
    except Refused as refused:
        return _error(encoding, refused.status, str(refused))
    except Full:
        return _error(encoding, 503, FULL)
    except DataError:
        logger.exception("The database refuses a value")
        return _error(encoding, 400, "The database refuses a value of this request; nothing of it was stored.")
    except DatabaseError:
        logger.exception("Spans could not be stored")
        return _error(encoding, 503, BUSY)
    for _ in range(arrival.unreadable):
        decoded.reject("a span can't be read; the server's log says why", "shape")
    return _accepted(encoding, decoded, cut)


def _authenticate(request: HttpRequest, now: datetime) -> ApiKey:
    scheme, _, bearer = request.headers.get("Authorization", "").partition(" ")
    text = bearer.strip() if scheme.lower() == "bearer" else request.headers.get("x-api-key", "").strip()
    if not text:
        raise Refused(401, "No API key. Send the header «Authorization: Bearer KEY» or «x-api-key: KEY».")
    key = keys.recent.find(text, now)
    if key is None:
        raise Refused(401, "The API key is unknown or revoked. Make one under Settings, API keys.")
    if ApiKey.Scope.INGEST not in key.scopes:
        raise Refused(403, "The API key may not post traces. Use one with the scope ingest.")
    return key


def _decode(request: HttpRequest) -> tuple[Decoded, Cut]:
    """The spans, cut down to the limits, and what was cut."""
    decoder = DECODERS.get(request.content_type or "")
    if decoder is None:
        said = request.content_type or "no content type"
        raise Refused(415, f"{said} is not supported. Send {JSON} or {PROTOBUF}.")
    body = request.read(settings.MAX_BODY_BYTES + 1)
    if len(body) > settings.MAX_BODY_BYTES:
        raise _too_large()
    try:
        plain = _decompress(body, request.headers.get("Content-Encoding", "identity").strip().lower())
        decoded = decoder(plain, settings.MAX_REQUEST_SPANS)
        return decoded, fit(decoded.spans, Limits(**settings.SPAN_LIMITS), len(plain))
    except TooManySpans as error:
        raise Refused(413, f"{error} The server's limit is CATALYST_MAX_REQUEST_SPANS.") from error
    except OtlpError as error:
        raise Refused(400, str(error)) from error


def _too_large() -> Refused:
    limit = settings.MAX_BODY_BYTES // 1024**2
    return Refused(413, f"The body is larger than {limit} MiB. Send smaller batches, or raise CATALYST_MAX_BODY_MB.")


def _decompress(body: bytes, encoding: str) -> bytes:
    """The plain body. Stops at the limit, whatever a small body would unfold to."""
    if encoding in ("", "identity"):
        return body
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise Refused(415, f"Content-Encoding {encoding[:40]} is not supported. Send gzip, deflate or none.")
    try:
        return _inflate(body, zlib.MAX_WBITS | 32)  # gzip or zlib, told apart by the header
    except zlib.error as error:
        if encoding == "deflate":
            try:
                return _inflate(body, -zlib.MAX_WBITS)
            except zlib.error:
                pass
        raise Refused(400, f"The body is not valid {encoding}: {error}.") from error


def _inflate(body: bytes, window_bits: int) -> bytes:
    """Unpack; gzip allows several members one after the other."""
    parts, total, members = [], 0, 1
    stream = zlib.decompressobj(window_bits)
    for first in range(0, len(body), SLICE):
        rest = body[first : first + SLICE]
        while rest:
            if stream.eof:
                members += 1
                if members > MAX_MEMBERS:
                    raise zlib.error(f"it has more than {MAX_MEMBERS} members")
                stream = zlib.decompressobj(window_bits)
            part = stream.decompress(rest, settings.MAX_BODY_BYTES + 1 - total)
            total += len(part)
            if total > settings.MAX_BODY_BYTES:
                raise _too_large()
            parts.append(part)
            rest = stream.unused_data if stream.eof else b""
    if body and not stream.eof:
        raise zlib.error("it ends too early")
    return b"".join(parts)


def _accepted(encoding: str, decoded: Decoded, cut: Cut) -> HttpResponse:
    """Success, or a partial one: what was not stored and why, and what of the stored was cut."""
    response = ExportTraceServiceResponse()
    said = []
    if decoded.rejected:
        more = decoded.rejected - len(decoded.reasons)
        shown = "; ".join(decoded.reasons) + (f"; and {more} more" if more else "")
        said.append(f"{decoded.rejected} spans were not stored: {shown}")
        response.partial_success.rejected_spans = decoded.rejected
    if cut.total:
        said.append(f"Stored, but {cut.words(Limits(**settings.SPAN_LIMITS))}")
    if said:
        response.partial_success.error_message = ". ".join(said)
    return _answer(encoding, 200, response)


def _error(encoding: str, status: int, message: str) -> HttpResponse:
    response = _answer(encoding, status, Status(code=_RPC_CODES[status], message=message))
    if status == 401:
        response["WWW-Authenticate"] = "Bearer"
    if status == 503:
        response["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return response


def _answer(encoding: str, status: int, message: ExportTraceServiceResponse | Status) -> HttpResponse:
    body = message.SerializeToString() if encoding == PROTOBUF else MessageToJson(message, indent=None)
    return HttpResponse(body, status=status, content_type=encoding)
