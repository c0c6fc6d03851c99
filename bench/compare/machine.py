"""What machine this is."""

import os
import pathlib
import platform
import shutil


def describe(directory):
    return {
        "processor": first_value("/proc/cpuinfo", "model name"),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "kernel": platform.release(),
        "system": system(),
        "file_system": file_system(directory),
        "free_gib": shutil.disk_usage(directory).free // 2**30,
    }


def first_value(path, key):
    """Of a file of lines such as `model name : AMD EPYC`."""
    for line in pathlib.Path(path).read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return "unknown"


def system():
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (AttributeError, OSError, KeyError):
        return platform.system()


def file_system(directory):
    """The kind of the one that holds a directory."""
    path = os.path.realpath(directory)
    mounts = [line.split()[1:3] for line in pathlib.Path("/proc/mounts").read_text(encoding="utf-8").splitlines()]
    inside = [mount for mount in mounts if os.path.commonpath([path, mount[0]]) == mount[0]]
    # Of two on the same place the later one counts.
    return max(reversed(inside), key=lambda mount: len(mount[0]))[1]


def lies_in_memory(directory):
    """Whether there is no disk under it."""
    return file_system(directory) in ("tmpfs", "ramfs")
