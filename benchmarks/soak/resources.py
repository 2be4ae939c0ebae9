"""What a process holds: tasks, threads, descriptors, memory."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
from collections import Counter
from contextlib import suppress
from pathlib import Path

import msgspec


class Holdings(msgspec.Struct, frozen=True):
    """A look at this process."""

    tasks: tuple[str, ...]
    threads: int
    tcp: int  # sockets
    unix: int  # sockets: the database's, and the event loop's own pair
    files: tuple[str, ...]
    others: int  # descriptors: pipes, selectors, sockets never bound
    rss_kib: int
    objects: int


def look() -> Holdings:
    """Collect garbage, give free heap back to the system, and count what is left."""
    gc.collect()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)  # glibc only
    kinds = _descriptors()
    return Holdings(
        tasks=tuple(sorted(task.get_name() for task in asyncio.all_tasks())),
        threads=len(os.listdir("/proc/self/task")),
        tcp=kinds["tcp"],
        unix=kinds["unix"],
        files=tuple(sorted(kind for kind in kinds.elements() if kind.startswith("/"))),
        others=kinds["other"],
        rss_kib=_rss_kib(),
        objects=len(gc.get_objects()),
    )


def _descriptors() -> Counter[str]:
    inodes = {"tcp": _inodes("tcp", 9) | _inodes("tcp6", 9), "unix": _inodes("unix", 6)}
    kinds: Counter[str] = Counter()
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{descriptor}")
        except FileNotFoundError:
            continue  # the one that listed the folder
        if target.startswith("/"):
            kinds[target] += 1
        else:
            inode = target.removeprefix("socket:[").removesuffix("]")
            kinds[next((kind for kind in inodes if inode in inodes[kind]), "other")] += 1
    return kinds


def _inodes(table: str, column: int) -> frozenset[str]:
    """Inodes of all sockets of a family on this machine, the listening and dying ones included."""
    try:
        lines = Path(f"/proc/net/{table}").read_text().splitlines()[1:]
    except FileNotFoundError:
        return frozenset()
    return frozenset(line.split()[column] for line in lines)


def _rss_kib() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024
