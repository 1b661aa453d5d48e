"""Garbage and lost connections: checks 47 to 50 of the protocol sheet."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.conformance.checking import Door


async def test_check_47_garbage_and_then_a_turn(door: Door) -> None:
    async with door.connect() as client:
        bad: list[tuple[str | bytes, str]] = [
            ("nonsense", "invalid_json"),
            ("[]", "invalid_event"),
            (b'{"type":"response.create"}', "invalid_event"),
            ('{"type":"nonsense"}', "invalid_value"),
            ("{}", "invalid_event"),
        ]
        for message, code in bad:
            await client.send_raw(message)
            assert (await client.error())["code"] == code
        assert (await client.type_in("hello", output_modalities=["text"]))["status"] == "completed"
