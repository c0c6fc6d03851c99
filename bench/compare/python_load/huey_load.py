"""Submits tasks to Huey and waits for their results."""

import huey.exceptions
import window
from huey_tasks import reverse

# How long to wait, in seconds, before asking again.
DELAY = 0.001


def wait(handle, seconds):
    try:
        return handle.get(blocking=True, timeout=seconds, backoff=1, max_delay=DELAY)
    except huey.exceptions.ResultTimeout:
        return None


window.run(reverse, wait)
