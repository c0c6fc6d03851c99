"""The queue that consumer and client share."""

import os

import huey

queue = huey.SqliteHuey(filename=os.environ["COMPARE_DATABASE"], fsync=os.environ["COMPARE_FSYNC"] == "1")


@queue.task()
def reverse(text):
    return text[::-1]
