"""What the machine itself must have: settings, room on the disk, weights, a port, the time."""

from __future__ import annotations

import shutil
import socket
import tempfile
from pathlib import Path
from typing import Final

from models.scam.manifest import FOLDER, ModelError
from models.weights import Condition, Weights
from voice_server.doctor.check import Check, failed, ok, skipped, warning
from voice_server.errors import ConfigurationError
from voice_server.settings import Settings

# A call's journal with media grows by 16 kB/s: 2 GiB are 37 hours of calls.
SCARCE_BYTES: Final = 2 * 1024**3
FULL_BYTES: Final = 256 * 1024**2
SKEW_S: Final = 5.0


def settings_checks(problem: ConfigurationError | None) -> tuple[Check, ...]:
    """A finding for each setting that needs attention."""
    if problem is None:
        return (ok("settings", "all settings can be read"),)
    lines = [line.strip() for line in str(problem).splitlines()[1:] if line.strip()]
    return tuple(_setting(line) for line in lines or [str(problem)])


def _setting(line: str) -> Check:
    variable, _, _ = line.partition(":")
    what, semicolon, how = line.partition("; ")
    return failed("settings", what, how if semicolon else f"correct {variable}")


def public_url_problem(settings: Settings) -> ConfigurationError | None:
    """Why Twilio could not be given the public URL, None when it could."""
    from voice_server.twilio.address import Address

    try:
        Address(settings.public_url)
    except ConfigurationError as error:
        return ConfigurationError(f"These settings need attention:\n  {error}")
    return None


def folder_checks(
    folder: Path, *, scarce_bytes: int = SCARCE_BYTES, full_bytes: int = FULL_BYTES
) -> tuple[Check, ...]:
    """Whether the data directory can be written (or made), and the room on its disk.

    Leaves nothing behind, nor makes the folder.
    """
    fix = "set VOICE_SERVER_DATA_DIR to a folder that the server's user can write"
    try:
        existing = next(place for place in (folder, *folder.parents) if place.exists())
        with tempfile.TemporaryFile(dir=existing) as probe:
            probe.write(b"\0")
        free = shutil.disk_usage(existing).free
    except OSError as error:
        return (failed("data directory", f"{folder} cannot be written ({error.strerror})", fix),)
    said = "can be written" if existing == folder else "does not exist yet and can be made"
    return (
        ok("data directory", f"{folder} {said}"),
        _space(free, scarce_bytes=scarce_bytes, full_bytes=full_bytes),
    )


def _space(free: int, *, scarce_bytes: int, full_bytes: int) -> Check:
    room = f"{free / 1024**3:.1f} GiB are free"
    fix = "make room, set VOICE_SERVER_DATA_DIR to a larger disk, or VOICE_SERVER_JOURNAL_MEDIA=0"
    if free < full_bytes:
        return failed("disk space", room, fix)
    return warning("disk space", room, fix) if free < scarce_bytes else ok("disk space", room)


def weights_check(weights: Weights) -> tuple[Check, ...]:
    """Whether the third-party weights are here and sound. Reads all of them: 110 MB."""
    try:
        inventory = weights.verify()
    except OSError as error:
        what = f"{weights.directory} cannot be read ({error.strerror})"
        return (failed("weights", what, "set VOICE_SERVER_MODELS_DIR to a folder you can read"),)
    ill = [f"{one.name} {one.condition}" for one in inventory if one.condition != Condition.READY]
    if ill:
        what = f"{', '.join(ill)} in {weights.directory}"
        return (failed("weights", what, "run `voice-server models pull`"),)
    return (ok("weights", f"{len(inventory)} files, all sums right"),)


def scam_model_check(folder: Path = FOLDER) -> tuple[Check, ...]:
    """Whether the scam model that comes with the package is whole."""
    from detectors.detector import ScamModel

    try:
        version = ScamModel.load(folder).version
    except ModelError as error:
        what, _, how = str(error).partition("; ")
        return (failed("scam model", what, how or "reinstall the package"),)
    return (ok("scam model", f"{version}, all sums right"),)


def is_free(host: str, port: int) -> OSError | None:
    """None when the server could listen there, else why not."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen(1)
        except OSError as error:
            return error
    return None


def clock_check(ahead_s: float | None, reference: str, limit_s: float = SKEW_S) -> Check:
    """`ahead_s`: how far our clock is ahead of the reference; None = there was none."""
    if ahead_s is None:
        return skipped("clock", "nothing that is configured could tell the time")
    if abs(ahead_s) <= limit_s:
        return ok("clock", f"within {limit_s:g} s of {reference}")
    side = "ahead of" if ahead_s > 0 else "behind"
    return warning(
        "clock",
        f"{abs(ahead_s):.0f} s {side} {reference}",
        "turn on time synchronisation: `timedatectl set-ntp true`",
    )
