"""The file of a job that is being handed in: on disk under a name, for longer than its request."""

from __future__ import annotations

import os
from typing import IO, TYPE_CHECKING

from voiced.store.room import check_room
from voiced.web.spool import Spool

if TYPE_CHECKING:
    from voiced.jobs.desk import Draft


class JobSpool(Spool):
    """Makes one file, the input of `draft`, which stays where it is."""

    def __init__(self, draft: Draft) -> None:
        super().__init__(draft.directory)
        self._draft = draft

    async def write(self, file: IO[bytes], data: bytes) -> None:
        """As any upload, within the room for the files of jobs."""
        self._draft.grow(len(data))
        await super().write(file, data)

    def _make(self, expected_bytes: int) -> IO[bytes]:
        self._draft.expect(expected_bytes)
        check_room(os.statvfs(self._draft.directory), expected_bytes)
        return self._draft.input.open("xb+", buffering=0)
