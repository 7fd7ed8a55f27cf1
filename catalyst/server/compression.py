"""Decompresses request bodies within a limit, so that a small body can't fill the memory."""

from typing import cast

import zstandard
from zlib_ng import zlib_ng as zlib

from catalyst.server.bodies import BodyTooLarge

SLICE_BYTES = 64 * 1024
# A body may consist of several members (gzip, deflate) or frames (zstd).
MAX_MEMBERS = 1_000
# The window of RFC 9659; decompressing takes this much memory beside the body.
MAX_ZSTD_WINDOW_BYTES = 8 * 1024 * 1024
# No encoding is called `none`, but senders use that name.
UNCOMPRESSED = ("", "identity", "none")

_ZlibError = cast(type[Exception], zlib.error)  # typed as an instance


class UnknownEncoding(Exception):
    """The Content-Encoding is not supported. The message is for the sender."""


class BadCompression(Exception):
    """The body is not what its Content-Encoding says. The message is for the sender."""


def decompress(body: bytes, encoding: str, limit: int) -> bytes:
    """Raises BodyTooLarge if more than `limit` bytes come out, UnknownEncoding and BadCompression."""
    if len(body) > limit:
        raise BodyTooLarge
    if encoding in UNCOMPRESSED:
        return body
    try:
        return _decompress(body, encoding, limit)
    except (_ZlibError, zstandard.ZstdError) as error:
        raise BadCompression(f"The body is not valid {encoding}: {error}.") from error


def _decompress(body: bytes, encoding: str, limit: int) -> bytes:
    if encoding in ("gzip", "x-gzip"):
        return _inflate(body, zlib.MAX_WBITS | 32, limit)  # gzip or zlib, told apart by the header
    if encoding == "deflate":
        return _inflate_any(body, limit)
    if encoding == "zstd":
        return _decompress_zstd(body, limit)
    raise UnknownEncoding(
        f"Content-Encoding {encoding[:40]} is not supported. Send gzip, zstd, deflate or no Content-Encoding."
    )


def _inflate_any(body: bytes, limit: int) -> bytes:
    try:
        return _inflate(body, zlib.MAX_WBITS | 32, limit)
    except _ZlibError as error:
        try:  # as some senders understand deflate: without a header
            return _inflate(body, -zlib.MAX_WBITS, limit)
        except _ZlibError:
            raise error from None


def _inflate(body: bytes, window_bits: int, limit: int) -> bytes:
    unpacker = _Unpacker(window_bits, limit)
    for first in range(0, len(body), SLICE_BYTES):
        unpacker.feed(body[first : first + SLICE_BYTES])
    if body and not unpacker.stream.eof:
        raise _ZlibError("it ends too early")
    return b"".join(unpacker.parts)


class _Unpacker:
    def __init__(self, window_bits: int, limit: int) -> None:
        self.window_bits, self.limit = window_bits, limit
        self.stream = zlib.decompressobj(window_bits)
        self.members, self.total = 1, 0
        self.parts: list[bytes] = []

    def feed(self, rest: bytes) -> None:
        while rest:
            if self.stream.eof:
                self._begin_member()
            part = self.stream.decompress(rest, self.limit + 1 - self.total)
            self.total += len(part)
            if self.total > self.limit:
                raise BodyTooLarge
            self.parts.append(part)
            rest = self.stream.unused_data if self.stream.eof else b""

    def _begin_member(self) -> None:
        self.members += 1
        if self.members > MAX_MEMBERS:
            raise _ZlibError(f"it has more than {MAX_MEMBERS} members")
        self.stream = zlib.decompressobj(self.window_bits)


def _decompress_zstd(body: bytes, limit: int) -> bytes:
    # The reader can stop at the limit but takes a cut-off frame for a whole one; the object below is the other way.
    _check_zstd_size(body, limit)
    decompressor = zstandard.ZstdDecompressor(max_window_size=MAX_ZSTD_WINDOW_BYTES)
    parts: list[bytes] = []
    rest = body
    while rest:
        if len(parts) == MAX_MEMBERS:
            raise zstandard.ZstdError(f"it has more than {MAX_MEMBERS} frames")
        frame = decompressor.decompressobj()
        parts.append(frame.decompress(rest))
        if not frame.eof:
            raise zstandard.ZstdError("it ends too early")
        rest = frame.unused_data
    return b"".join(parts)


def _check_zstd_size(body: bytes, limit: int) -> None:
    decompressor = zstandard.ZstdDecompressor(max_window_size=MAX_ZSTD_WINDOW_BYTES)
    reader, piece, total = decompressor.stream_reader(body, read_across_frames=True), bytearray(SLICE_BYTES), 0
    while count := reader.readinto(piece):
        total += count
        if total > limit:
            raise BodyTooLarge
