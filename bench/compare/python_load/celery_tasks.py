"""The application that worker and client share."""

import os

import celery

queue = celery.Celery("compare", broker=os.environ["COMPARE_REDIS"] + "/0", backend=os.environ["COMPARE_REDIS"] + "/1")
# A task whose worker dies is handed out again.
queue.conf.task_acks_late = True
queue.conf.task_reject_on_worker_lost = True


@queue.task
def reverse(text):
    return text[::-1]
