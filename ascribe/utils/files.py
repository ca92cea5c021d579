"""Atomic writes of files."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from typing import IO


def write_atomically(path: Path, content: bytes) -> None:
    """Writes ``content`` to the file at ``path`` atomically: a reader gets the old file or the new one.

    An existing file keeps its mode. Symbolic links are followed, and devices and pipes are written directly. The content is on the disk
    when the function returns. Raises OSError with the given path.
    """
    try:
        _write(Path(os.path.realpath(path)), content)
    except OSError as error:
        error.filename = str(path)
        if error.filename2 is not None:
            del error.filename2
        raise


def _write(target: Path, content: bytes) -> None:
    if target.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), "")
    if not target.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, f"The folder {str(target.parent)!r} does not exist; create it with mkdir(parents=True)", "")
    try:
        mode = target.stat().st_mode
    except FileNotFoundError:
        mode = None
    if mode is not None and not stat.S_ISREG(mode):
        target.write_bytes(content)
        return
    temporary = target.with_name(f".ascribe-{secrets.token_hex(8)}")
    try:
        if not _named_when_whole(temporary, content, mode):
            with _opened(temporary, os.O_CREAT | os.O_EXCL, mode) as file:
                _fill(file, content, mode)
        os.replace(temporary, target)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    _settle(target.parent)


def _opened(place: Path, how: int, mode: int | None) -> IO[bytes]:
    """Returns a new file; if it replaces another, only the owner may read it until the mode is copied."""
    return open(os.open(place, os.O_WRONLY | how, 0o666 if mode is None else 0o600), "wb")


def _fill(file: IO[bytes], content: bytes, mode: int | None) -> None:
    file.write(content)
    file.flush()
    if mode is not None and hasattr(os, "fchmod"):
        os.fchmod(file.fileno(), stat.S_IMODE(mode))
    os.fsync(file.fileno())


def _named_when_whole(path: Path, content: bytes, mode: int | None) -> bool:
    """Writes a file that has no name until it is complete, so that a killed process leaves nothing. Returns False if unsupported."""
    if not hasattr(os, "O_TMPFILE"):
        return False
    try:
        with _opened(path.parent, os.O_TMPFILE, mode) as file:
            _fill(file, content, mode)
            os.link(
                f"/proc/self/fd/{file.fileno()}", path, src_dir_fd=file.fileno()
            )  # src_dir_fd makes link() follow the symbolic link in /proc
    except OSError:  # also for a full disk: the caller then fails with the same error
        return False
    return True


def _settle(folder: Path) -> None:
    """Writes the new directory entry to the disk, if the system can open directories."""
    with suppress(OSError):
        entry = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(entry)
        finally:
            os.close(entry)
