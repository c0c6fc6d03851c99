"""Clients and handlers of TaskGrid+ in Python."""

import os


class Permanent(Exception):
    """Raised by a handler: its task fails, and is not tried again."""


def progress(fraction, message=""):
    """Tells how far a handler is."""
    try:
        os.write(3, f"{fraction} {message}\n".encode())
    except OSError:
        pass
