"""Becomes a Postgres program: gives up root, ties its life to the parent, then executes it.

Run as a script by `embedded.py` with the system's bare interpreter, so it imports nothing of
ours. Doing this in a program of its own, and not between fork and exec of a process that has
threads, avoids inheriting a lock that nobody will ever release.

Arguments: parent's process id, uid, gid (-1 = stay who you are), program, its arguments.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main() -> None:
    """Never returns: executes the program, or ends when the parent is already gone."""
    parent, uid, gid = (int(argument) for argument in sys.argv[1:4])
    command = sys.argv[4:]
    os.setsid()  # Ctrl-C in the terminal is for our parent; it will stop us in good order
    if uid >= 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    os.umask(0o077)
    os.chdir("/")
    # After the change of user, which would reset it. SIGINT is Postgres' fast shutdown.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGINT)
    if os.getppid() != parent:
        sys.exit("the parent is gone")
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
