"""What the C library keeps of memory that is free, where it is GNU's; others have no such ways."""

import ctypes
from contextlib import suppress

LARGE_BYTES = 1 << 20
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8  # malloc.h of GNU's C library


def keep_little() -> None:
    """Keep less from now on, in children too, than what a large body took in as many arenas as threads ever ran."""
    with suppress(AttributeError):
        library = ctypes.CDLL(None)
        library.mallopt(M_ARENA_MAX, 2)
        library.mallopt(M_MMAP_THRESHOLD, LARGE_BYTES)
        library.mallopt(M_TRIM_THRESHOLD, LARGE_BYTES)


def give_back() -> None:
    """Return what is free to the system, also from between what is used."""
    with suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
