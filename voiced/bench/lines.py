"""What another process of a bench says, line by line."""

from __future__ import annotations

import trio

from voiced.errors import ClientError


class Lines:
    """Lines of a process's standard output; `name` is what errors call it."""

    def __init__(self, process: trio.Process, name: str) -> None:
        assert process.stdout is not None
        self._stream = process.stdout
        self._name = name
        self._rest = b""

    async def read_within(self, seconds: float) -> bytes:
        with trio.move_on_after(seconds):
            while b"\n" not in self._rest:
                data = await self._stream.receive_some(65_536)
                if not data:
                    raise ClientError(f"{self._name} gave up; see its line above")
                self._rest += data
            line, _, self._rest = self._rest.partition(b"\n")
            return line
        raise ClientError(f"{self._name} said nothing for {seconds:g} s")
