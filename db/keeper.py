"""Keeps a server process running: launches it, collects it, and brings it back when it dies."""

from __future__ import annotations

import logging
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

_log = logging.getLogger(__name__)

_FIRST_DELAY_S = 0.2
_LONGEST_DELAY_S = 30.0
_PATIENCE_S = 20.0  # per farewell signal
_LOG_LIMIT_BYTES = 8 * 1024 * 1024


class Keeper:
    """One process at a time, in the care of a thread.

    The kernel ties the process' life to the thread that launched it (see `launch.py`), so that
    thread must last as long as the process.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        log: Path,
        environment: Mapping[str, str],
        clear: Callable[[], object],
    ) -> None:
        """`clear` is called before the process is brought back; its errors end the keeping."""
        self._command = list(command)
        self._log = log
        self._environment = dict(environment)
        self._clear = clear
        self._process: subprocess.Popen[bytes] | None = None
        self._failure: OSError | None = None
        self._launched = threading.Event()
        self._stopping = threading.Event()
        self._revives = False
        self._thread = threading.Thread(target=self._keep, name="embedded-postgres", daemon=True)

    @property
    def pid(self) -> int:
        """The process id; another one after a revival."""
        assert self._process is not None
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """False once the process ended and will not be brought back."""
        return self._thread.is_alive()

    def launch(self) -> None:
        """Launch the process; raises OSError when it cannot even be executed."""
        self._thread.start()
        self._launched.wait()
        if self._failure is not None:
            raise self._failure

    def revive_from_now_on(self) -> None:
        """Bring the process back whenever it ends unasked, with growing delays."""
        self._revives = True

    def stop(self) -> None:
        """End the process, politely first, and wait for it."""
        self._stopping.set()
        for farewell in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            if self._process is not None and self._process.poll() is None:
                self._process.send_signal(farewell)
            self._thread.join(_PATIENCE_S)
            if not self._thread.is_alive():
                return

    def _keep(self) -> None:
        delay_s = _FIRST_DELAY_S
        try:
            while True:
                process = self._launch_once()
                status = process.wait()
                if not self._revives or self._stopping.wait(delay_s):
                    return
                _log.error("embedded Postgres ended, starting it again", extra={"status": status})
                delay_s = min(2 * delay_s, _LONGEST_DELAY_S)
                self._clear()
        except OSError as error:
            self._failure = error
        finally:
            self._launched.set()

    def _launch_once(self) -> subprocess.Popen[bytes]:
        if self._log.exists() and self._log.stat().st_size > _LOG_LIMIT_BYTES:
            self._log.replace(self._log.with_name("log.1"))
        with self._log.open("ab") as log:
            self._process = process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
            )
        self._launched.set()
        if self._stopping.is_set():  # asked to stop while launching again
            process.send_signal(signal.SIGINT)
        return process
