"""OTLP/HTTP endpoints. Status 200 for traces means that the spans are committed."""

import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db import DataError
from django.db import Error as DatabaseError
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from catalyst.core import api_keys
from catalyst.core.api_keys import ApiKeyRefused
from catalyst.core.key_use import usage_counter
from catalyst.core.models import ApiKey
from catalyst.fairness import Turns
from catalyst.server.bodies import BodyTooLarge, MemoryFull, hold_memory, read_body
from catalyst.server.compression import BadCompression, UnknownEncoding, decompress
from catalyst.server.threads import in_thread
from traces import browsers
from traces.answers import JSON, PROTOBUF, HttpRefusal, accept, notices, refuse
from traces.ingest import pipeline
from traces.ingest.group_commit import GroupCommit, QueueFull
from traces.ingest.limits import Limits, Truncation, truncate
from traces.ingest.pipeline import IngestResult, SpanBatch
from traces.otlp import Decoded, OtlpError, TooManySpans, decode_json, decode_protobuf
from traces.span_store import ShortRead

type Work = Callable[[HttpRequest, ApiKey, datetime], Awaitable[HttpResponse]]

logger = logging.getLogger(__name__)


async def write(arrivals: Sequence[SpanBatch]) -> Sequence[IngestResult]:
    return await in_thread(pipeline.write, arrivals)


writer = GroupCommit(write, settings.INGEST_QUEUE_SPANS)

DECODERS: dict[str, Callable[[bytes, int, int], Decoded]] = {JSON: decode_json, PROTOBUF: decode_protobuf}
# Smaller bodies are parsed on the event loop. Even one full of spans without attributes takes only some 20 ms.
SMALL_BODY_BYTES = 64 * 1024
# Parsing holds Python's lock, so more at once would only take more memory and delay everything else.
large_bodies = Turns[int](2)
NO_MEMORY = "The server has no memory for this request now; nothing of it was stored. Send it again."
FULL = "More spans wait to be stored than may; nothing of this request was stored. Send it again."
OTHER = (
    "{} spans count under (other): their project has more than {} new agents, models or tools in an hour. If that is "
    "meant, an operator can run manage.py agents regroup."
)
TRACES_ONLY = (
    "Catalyst stores traces only and drops metrics and logs. To stop sending them, set OTEL_METRICS_EXPORTER=none and "
    "OTEL_LOGS_EXPORTER=none."
)
ELSEWHERE = "Stored, but {} is not Catalyst's own path, which is /v1/traces"
BUSY = "The database can't take spans now; nothing of this request was stored. Send it again."
RETRY_AFTER_SECONDS = 5


@dataclass(slots=True, frozen=True)
class ParsedRequest:
    arrival: SpanBatch
    decoded: Decoded
    cut: Truncation


@dataclass(slots=True, frozen=True)
class StoredRequest:
    parsed: ParsedRequest
    result: IngestResult


@csrf_exempt
@login_not_required
async def export_traces(request: HttpRequest) -> HttpResponse:
    """Store an ExportTraceServiceRequest. Responses, errors included, use the encoding of the request."""
    return await _serve(request, _store)


@csrf_exempt
@login_not_required
async def export_traces_elsewhere(request: HttpRequest) -> HttpResponse:
    """`export_traces` at a path with the prefix of another product, which its SDK can't leave out."""
    return await _serve(request, _store_elsewhere)


@csrf_exempt
@login_not_required
async def export_metrics(request: HttpRequest) -> HttpResponse:
    """Drop an ExportMetricsServiceRequest unread. SDKs that send one log no error."""
    return await _serve(request, partial(_drop, ExportMetricsServiceResponse))


@csrf_exempt
@login_not_required
async def export_logs(request: HttpRequest) -> HttpResponse:
    """Drop an ExportLogsServiceRequest unread. SDKs that send one log no error."""
    return await _serve(request, partial(_drop, ExportLogsServiceResponse))


async def _serve(request: HttpRequest, work: Work) -> HttpResponse:
    now = timezone.now()
    if request.method == "POST":
        return browsers.let_page_read(request, await _answer(request, work, now))
    if browsers.is_preflight(request):
        return await _answer_preflight(request, now)
    return HttpResponseNotAllowed(["POST"])


async def _answer(request: HttpRequest, work: Work, now: datetime) -> HttpResponse:
    key = None
    try:
        with _refusals():
            key = await api_keys.aauthenticate(request, now)
            browsers.check_origin(request, key)
            api_keys.admit(key, ApiKey.Scope.INGEST, now)
            return await work(request, key, now)
    except HttpRefusal as refused:
        usage_counter.count(key.pk if key else None, {f"refused_{refused.status}": 1}, now)
        return refuse(request, refused)


async def _answer_preflight(request: HttpRequest, now: datetime) -> HttpResponse:
    try:
        with _refusals():
            return await browsers.answer_preflight(request, now)
    except HttpRefusal as refused:
        return refuse(request, refused)


async def _store(request: HttpRequest, key: ApiKey, now: datetime) -> HttpResponse:
    return _accepted(request, await _ingest(request, key, now))


async def _store_elsewhere(request: HttpRequest, key: ApiKey, now: datetime) -> HttpResponse:
    stored = await _ingest(request, key, now)
    is_due = notices.is_due(key.pk, ELSEWHERE, now)
    return _accepted(request, stored, ELSEWHERE.format(request.path_info[:200]) if is_due else "")


async def _drop(answer: type[Message], request: HttpRequest, key: ApiKey, now: datetime) -> HttpResponse:
    usage_counter.count(key.pk, {"dropped": 1}, now)
    response: Any = answer()
    if notices.is_due(key.pk, TRACES_ONLY, now):
        response.partial_success.error_message = TRACES_ONLY
    return accept(request, response)


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except ApiKeyRefused as error:
        raise HttpRefusal(error.status, str(error), error.retry_after) from error
    except (QueueFull, MemoryFull) as error:
        message = FULL if isinstance(error, QueueFull) else NO_MEMORY
        raise HttpRefusal(503, message, RETRY_AFTER_SECONDS) from error
    except UnknownEncoding as error:
        raise HttpRefusal(415, str(error)) from error
    except (BodyTooLarge, TooManySpans, OtlpError, BadCompression) as error:
        raise _bad_request(error) from error
    except DataError as error:
        logger.exception("The database refuses a value")
        message = "The database refuses a value of this request; nothing of it was stored."
        raise HttpRefusal(400, message) from error
    except (DatabaseError, ShortRead) as error:
        logger.exception("Spans could not be stored")
        raise HttpRefusal(503, BUSY, RETRY_AFTER_SECONDS) from error


def _bad_request(error: BodyTooLarge | TooManySpans | OtlpError | BadCompression) -> HttpRefusal:
    if isinstance(error, BodyTooLarge):
        limit = f"{settings.MAX_BODY_BYTES // 1024**2} MiB"
        return HttpRefusal(
            413, f"The body is larger than {limit}. Send smaller batches, or raise CATALYST_MAX_BODY_MB."
        )
    if isinstance(error, TooManySpans):
        return HttpRefusal(413, f"{error} The server's limit is CATALYST_MAX_REQUEST_SPANS.")
    return HttpRefusal(400, str(error))


async def _ingest(request: HttpRequest, key: ApiKey, now: datetime) -> StoredRequest:
    parsed = await _parse(request, key.project_id, now)
    api_keys.charge_spans(key, len(parsed.decoded.spans) + parsed.decoded.rejected, now)
    result = await writer.write(parsed.arrival)
    for _ in range(parsed.arrival.unreadable):
        parsed.decoded.reject("a span can't be read; the server's log says why", "shape")
    for why, count in result.refused.items():
        for _ in range(count):
            parsed.decoded.reject(why.reason, why)
    usage_counter.count(key.pk, _counts(result, parsed), now)
    return StoredRequest(parsed, result)


def _counts(result: IngestResult, parsed: ParsedRequest) -> dict[str, int]:
    return {
        "accepted": 1,
        "new": result.inserted,
        "replaced": result.replaced,
        "duplicate": result.duplicate,
        "late": result.late,
        "cut": parsed.cut.total,
        "other": result.other,
        **{f"bad_{fault}": count for fault, count in parsed.decoded.faults.items()},
    }


async def _parse(request: HttpRequest, project_id: int, now: datetime) -> ParsedRequest:
    decoder = DECODERS.get(request.content_type or "")
    if decoder is None:
        content_type = request.content_type or "no content type"
        raise HttpRefusal(415, f"{content_type} is not supported. Send {JSON} or {PROTOBUF}.")
    body = await read_body(request, settings.MAX_BODY_BYTES, project_id)
    encoding = request.META.get("HTTP_CONTENT_ENCODING", "").strip().lower()

    def parse(limit: int) -> ParsedRequest:
        plain = decompress(body, encoding, limit)
        hold_memory(request, len(plain), project_id)
        limits = Limits(**settings.SPAN_LIMITS)
        decoded = decoder(plain, settings.MAX_REQUEST_SPANS, limits.levels)
        cut = truncate(decoded.spans, limits, len(plain))
        nesting = decoded.nesting
        cut.nested, cut.unreadable, cut.misshapen = nesting.left_out, nesting.unreadable, nesting.misshapen
        return ParsedRequest(pipeline.read(project_id, decoded.spans, now), decoded, cut)

    try:
        return parse(min(SMALL_BODY_BYTES, settings.MAX_BODY_BYTES))
    except BodyTooLarge:
        async with large_bodies.turn(project_id):
            return await in_thread(parse, settings.MAX_BODY_BYTES)


def _accepted(request: HttpRequest, stored: StoredRequest, notice: str = "") -> HttpResponse:
    response, decoded, cut = ExportTraceServiceResponse(), stored.parsed.decoded, stored.parsed.cut
    messages = [notice] if notice else []
    if decoded.rejected:
        more = decoded.rejected - len(decoded.reasons)
        shown = "; ".join(decoded.reasons) + (f"; and {more} more" if more else "")
        messages.append(f"{decoded.rejected} spans were not stored: {shown}")
        response.partial_success.rejected_spans = decoded.rejected
    if cut.total:
        messages.append(f"Stored, but {cut.text(Limits(**settings.SPAN_LIMITS))}")
    if stored.result.other:
        messages.append(f"Stored, but {OTHER.format(stored.result.other, settings.MAX_NEW_NAMES)}")
    if messages:
        response.partial_success.error_message = ". ".join(messages)
    return accept(request, response)
