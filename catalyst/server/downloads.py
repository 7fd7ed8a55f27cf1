"""Downloads that are made while they are sent."""

from collections import Counter
from collections.abc import Iterable
from threading import Lock

from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse

MOST_PER_PERSON = 4

_open_downloads: Counter[int] = Counter()
_lock = Lock()


def download(person: int, parts: Iterable[bytes], content_type: str, headers: dict[str, str]) -> HttpResponseBase:
    """Return a response that streams `parts`, or 429 if this person already has MOST_PER_PERSON under way.

    `person` is the primary key of a user. The limit is one of this process.
    """
    with _lock:
        if _open_downloads[person] >= MOST_PER_PERSON:
            message = f"You have {MOST_PER_PERSON} downloads under way. Let one finish, or cancel it. Then try again."
            return HttpResponse(message, status=429, content_type="text/plain; charset=utf-8")
        _open_downloads[person] += 1
    return _Download(person, parts, content_type=content_type, headers=headers)


class _Download(StreamingHttpResponse):
    def __init__(self, person: int, parts: Iterable[bytes], content_type: str, headers: dict[str, str]) -> None:
        self._person: int | None = person
        super().__init__(parts, content_type=content_type, headers=headers)

    def close(self) -> None:
        with _lock:
            if self._person is not None:
                _open_downloads[self._person] -= 1
                self._person = None
        super().close()
