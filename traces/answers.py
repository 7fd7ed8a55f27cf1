"""Answers of OTLP/HTTP, in the encoding of the request, and notices that a sender gets once an hour."""

from datetime import datetime

from django.http import HttpRequest, HttpResponse
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message
from google.rpc.status_pb2 import Status

JSON, PROTOBUF = "application/json", "application/x-protobuf"
_RPC_CODES = {400: 3, 401: 16, 403: 7, 404: 5, 413: 8, 415: 3, 429: 8, 503: 14}


class HttpRefusal(Exception):
    """An error response. The sender sees the message; `retry_after` is in seconds, 0 if a retry can't help."""

    def __init__(self, status: int, message: str, retry_after: int = 0) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


class HourlyNotices:
    """Which notices the keys have had in their last hour, in this process."""

    def __init__(self) -> None:
        self._hours: dict[tuple[int, str], datetime] = {}

    def is_due(self, key_id: int, notice: str, now: datetime) -> bool:
        """Return True once per key, notice and hour."""
        hour = now.replace(minute=0, second=0, microsecond=0)
        if self._hours.get((key_id, notice)) == hour:
            return False
        self._hours[key_id, notice] = hour
        return True


notices = HourlyNotices()


def accept(request: HttpRequest, message: Message) -> HttpResponse:
    return _response(request, 200, message)


def refuse(request: HttpRequest, refused: HttpRefusal) -> HttpResponse:
    response = _response(request, refused.status, Status(code=_RPC_CODES[refused.status], message=str(refused)))
    if refused.status == 401:
        response["WWW-Authenticate"] = "Bearer"
    if refused.retry_after:
        response["Retry-After"] = str(refused.retry_after)
    return response


def _response(request: HttpRequest, status: int, message: Message) -> HttpResponse:
    if request.content_type == PROTOBUF:
        return HttpResponse(message.SerializeToString(), status=status, content_type=PROTOBUF)
    return HttpResponse(MessageToJson(message, indent=None), status=status, content_type=JSON)
