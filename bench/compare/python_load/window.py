"""The client of Celery and Huey: keeps so many tasks in flight, and checks each result."""

import collections
import json
import sys
import time

# A result that has not come so long after the last submission is counted as lost.
GRACE = 30


def run(submit, wait):
    """`submit(payload)` gives a handle, and `wait(handle, seconds)` its result, or None when it does not come in time.

    Results are waited for in the order of submission. Arguments of the program: tasks in flight, seconds.
    """
    in_flight, seconds = int(sys.argv[1]), float(sys.argv[2])
    run_name = f"{time.time_ns() // 1000 & 0xFFFFFFFF:08x}"
    open_tasks = collections.deque()
    latencies = []
    submitted = wrong = lost = 0
    spent = time.process_time()
    start = last = time.monotonic()
    end = start + seconds
    while True:
        while len(open_tasks) < in_flight and time.monotonic() < end:
            payload = f"task-{run_name}-{submitted:010}"
            open_tasks.append((payload, time.monotonic(), submit(payload)))
            submitted += 1
        if not open_tasks:
            break
        payload, begun, handle = open_tasks.popleft()
        result = wait(handle, max(end + GRACE - time.monotonic(), 0.001))
        if result == payload[::-1]:
            last = time.monotonic()
            latencies.append(last - begun)
        elif result is None:
            lost += 1
        else:
            wrong += 1
    report(latencies, last - start, time.process_time() - spent, lost, wrong)


def report(latencies, seconds, cpu_seconds, lost, wrong):
    """In the form of the compiled driver. Its processor time leaves out what Python takes to start."""
    latencies.sort()
    percentile = {at: latencies[len(latencies) * at // 100] * 1000 if latencies else None for at in (50, 99)}
    document = {
        "tasks": len(latencies),
        "seconds": seconds,
        "tasks_per_second": len(latencies) / seconds if seconds else 0,
        "driver_cpu_s": cpu_seconds,
        "p50_ms": percentile[50],
        "p99_ms": percentile[99],
        "lost": lost,
        "wrong": wrong,
    }
    print(json.dumps(document))
