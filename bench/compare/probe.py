"""How fast the disk syncs just now: a slow phase would show here, beside the measurement that it slows."""

import os
import time

BLOCK = b"\0" * 4096


def probe(directory, seconds):
    """Appends 4 KiB and calls fdatasync, again and again."""
    path = os.path.join(directory, "probe")
    spans = []
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    try:
        start = time.monotonic()
        now = start
        while now < start + seconds:
            os.write(descriptor, BLOCK)
            os.fdatasync(descriptor)
            before, now = now, time.monotonic()
            spans.append(now - before)
    finally:
        os.close(descriptor)
        os.unlink(path)
    spans.sort()
    return {
        "syncs_per_second": len(spans) / (now - start),
        "p50_ms": spans[len(spans) // 2] * 1000,
        "p99_ms": spans[len(spans) * 99 // 100] * 1000,
    }
