"""Submits tasks to Celery and waits for their results."""

import celery.exceptions
import window
from celery_tasks import reverse


def wait(handle, seconds):
    try:
        return handle.get(timeout=seconds)
    except celery.exceptions.TimeoutError:
        return None


window.run(reverse.delay, wait)
