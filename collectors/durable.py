"""Files that survive a crash: atomic replacement, folder entries, and one owner at a time."""

import os
import sys
from io import FileIO
from pathlib import Path

from schemas.errors import KbwatchError

PREVIOUS = ".previous"
_OWNER_ALONE = 0o700


def replace_file(path: Path, raw: bytes, keep_previous: bool = False) -> None:
    """Put ``raw`` in the place of ``path``: a reader finds the old or the new bytes, never a mix.

    With ``keep_previous`` the old file stays beside it as ``<name>.previous``; for an instant there
    is then only the previous one. Both are on the disk when this returns. Raises OSError.
    """
    fresh = path.with_name(f"{path.name}.new")
    with fresh.open("wb") as file:
        file.write(raw)
        file.flush()
        os.fsync(file.fileno())
    if keep_previous and path.exists():
        path.replace(path.with_name(path.name + PREVIOUS))
    fresh.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in ``folder`` durable; Windows does that by itself (NTFS journals them)."""
    if sys.platform == "win32":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def keep_files_private() -> None:
    """Let this process make files and folders that its user alone may read.

    On Windows the rights of ``data_dir`` do that: ``install`` sets them.
    """
    os.umask(0o077)


class FolderLock:
    """A folder that one process at a time may use; the system lets go when the process ends."""

    def __init__(self, folder: Path) -> None:
        """Create the folder where it is missing, and lock it.

        Raises KbwatchError when it can't be written to or another process has it.
        """
        try:
            folder.mkdir(mode=_OWNER_ALONE, parents=True, exist_ok=True)
            if sys.platform != "win32":
                folder.chmod(_OWNER_ALONE)
            self._file = FileIO(folder / "lock", "a+")
        except OSError as error:
            raise KbwatchError(
                f"{folder}: {error.strerror}; the collector must be able to write there (data_dir)"
            ) from None
        try:
            _lock(self._file)
        except OSError:
            self._file.close()
            raise KbwatchError(
                f"{folder}: is in use by another collector; stop it, or choose another data_dir"
            ) from None

    def release(self) -> None:
        """Let others have the folder."""
        self._file.close()


if sys.platform == "win32":
    import msvcrt

    def _lock(file: FileIO) -> None:
        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(file: FileIO) -> None:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
