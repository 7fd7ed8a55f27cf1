"""Settings of glibc's allocator. Other C libraries ignore them."""

import ctypes
from contextlib import suppress

LARGE_BYTES = 1 << 20
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8  # malloc.h of GNU's C library


def limit_retained_memory() -> None:
    """Limit arenas and retained memory, also of forked children."""
    with suppress(AttributeError):
        library = ctypes.CDLL(None)
        library.mallopt(M_ARENA_MAX, 2)
        library.mallopt(M_MMAP_THRESHOLD, LARGE_BYTES)
        library.mallopt(M_TRIM_THRESHOLD, LARGE_BYTES)


def trim() -> None:
    """Give unused memory back to the operating system (glibc only)."""
    with suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
