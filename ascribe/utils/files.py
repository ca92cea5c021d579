"""Files that are written completely or not at all, and replace existing ones."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from typing import IO


def write_atomically(path: Path, content: bytes) -> None:
    """Put ``content`` in the file at ``path``, in one step: a reader gets the old file or the new one.

    A file that is there keeps its mode; through a symbolic link the file behind it is written; a device or a pipe is written to. What is
    written is on the disk when this returns. Raises OSError with the path as it was given.
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
        raise FileNotFoundError(errno.ENOENT, f"There is no folder {str(target.parent)!r}; make it first, with mkdir(parents=True)", "")
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
    """A new file that only its owner may read, if it replaces another: the mode of that one is set at the end."""
    return open(os.open(place, os.O_WRONLY | how, 0o666 if mode is None else 0o600), "wb")


def _fill(file: IO[bytes], content: bytes, mode: int | None) -> None:
    file.write(content)
    file.flush()
    if mode is not None and hasattr(os, "fchmod"):
        os.fchmod(file.fileno(), stat.S_IMODE(mode))
    os.fsync(file.fileno())


def _named_when_whole(path: Path, content: bytes, mode: int | None) -> bool:
    """Write a file that has no name until it is whole, of which nothing is left if the process is killed. False where that is not there."""
    if not hasattr(os, "O_TMPFILE"):
        return False
    try:
        with _opened(path.parent, os.O_TMPFILE, mode) as file:
            _fill(file, content, mode)
            os.link(f"/proc/self/fd/{file.fileno()}", path, src_dir_fd=file.fileno())  # the argument makes it follow the link in /proc
    except OSError:  # also for a full disk, which the way with a name then meets itself
        return False
    return True


def _settle(folder: Path) -> None:
    """Write the folder's new entry to the disk, where a folder can be opened."""
    with suppress(OSError):
        entry = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(entry)
        finally:
            os.close(entry)
