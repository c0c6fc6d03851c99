"""Sends a file of any size to the handler `word_count`: python3 send_file.py FILE DIRECTORY [HOST:PORT]

DIRECTORY is one that the worker sees too: on this machine, or mounted on both. The file is stored there under the checksum of
what it holds, and the task carries only its address. The checksum is the idempotency key as well: whoever sends the
same file again gets the same task.
"""

import hashlib
import os
import shutil
import sys

import taskgrid


def store(file, directory):
    with open(file, "rb") as opened:
        checksum = hashlib.file_digest(opened, "sha256").hexdigest()
    stored = os.path.join(directory, checksum)
    if not os.path.exists(stored):
        # Under its name it is there as a whole or not at all.
        shutil.copyfile(file, f"{stored}.{os.getpid()}")
        os.replace(f"{stored}.{os.getpid()}", stored)
    return stored, checksum


def main(file, directory, dispatcher="127.0.0.1:4000"):
    stored, checksum = store(file, os.path.abspath(directory))
    client = taskgrid.Client(dispatcher)
    task = client.submit("word_count", {"file": stored, "sha256": checksum}, key=f"words-{checksum[:32]}")
    print(client.wait(task.task_id))


main(*sys.argv[1:])
