"""Room on the disk that is left to others."""

from __future__ import annotations

import errno
import os
from typing import IO, Final

RESERVE_BYTES: Final = 64 << 20
"""Left free on the disk, also by several uploads at once, and by those whose length nobody told:
others need room too, the journal for one."""

FULL: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""What the system says of a write for which there is no room."""


def check_room(place: os.statvfs_result, size: int) -> None:
    """Raise `OSError`, as of a full disk, where `size` bytes more would leave too little."""
    if place.f_bavail * place.f_frsize < size + RESERVE_BYTES:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def write_all(file: IO[bytes], data: bytes) -> None:
    """Write all of it, unless too little room were left on the disk then. Raises `OSError`."""
    check_room(os.fstatvfs(file.fileno()), len(data))
    view = memoryview(data)
    while view:  # a disk that is nearly full takes a part
        view = view[file.write(view) :]
