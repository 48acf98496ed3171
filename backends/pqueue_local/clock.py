"""The clock of a folder: milliseconds since the boot, and which boot."""

import functools
import sys
import time
from pathlib import Path

from pqueue.abc import StoreTime
from pqueue.errors import StoreRefused

# Linux stops CLOCK_MONOTONIC while the machine sleeps, macOS does not.
_CLOCK: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC) if sys.platform != "win32" else 0
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@functools.cache
def boot() -> str:
    """This boot's id.

    Raises:
        StoreRefused: the system does not tell.
    """
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError as error:
        if sys.platform == "darwin":
            return _darwin_boot()
        raise StoreRefused(f"a queue in a folder must know the boot: {_BOOT_ID} can't be read; mount /proc") from error


def _darwin_boot() -> str:
    import ctypes  # noqa: PLC0415  # needed there only

    value, size = ctypes.create_string_buffer(64), ctypes.c_size_t(64)
    if ctypes.CDLL(None).sysctlbyname(b"kern.bootsessionuuid", value, ctypes.byref(size), None, ctypes.c_size_t(0)):
        raise StoreRefused("a queue in a folder must know the boot: kern.bootsessionuuid can't be read")
    return value.value.decode("ascii")


_last = StoreTime("", -1)


def now() -> StoreTime:
    """The time now."""
    global _last  # noqa: PLW0603  # thousands of swaps a millisecond share one object
    last, ms = _last, time.clock_gettime_ns(_CLOCK) // 1_000_000
    if last.ms != ms:
        _last = last = StoreTime(boot(), ms)
    return last
