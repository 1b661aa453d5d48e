"""What a tool answered, in words that can be said: never JSON, never more than a few sentences.

The daemon's own tools answer in the shape that the sentences file knows. A client's function
may answer anything: that shape, other JSON, or plain text.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from voiced.assistant.replies import plain

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_SAID = 400
"""Characters of a function's own text that are said: half a minute of speech."""

TEXT_KEYS = ("message", "text", "answer", "result", "output", "summary", "content", "response")
"""Where JSON keeps the text meant for people, in the order of preference."""

ABOUT_KEYS = frozenset({"ok", "success", "status", "error"})
"""What says how it went, and is not the answer."""


class Unreadable(ValueError):
    """A result that looks like JSON and is none."""


def parse_result(text: str) -> Any:  # noqa: ANN401 - JSON of any shape
    """JSON as its value, anything else as the text that it is. Raises `Unreadable`."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        text = text.strip()
        if text[:1] in ("{", "["):
            raise Unreadable from None
        return text


def succeeded(result: Any) -> bool:  # noqa: ANN401 - JSON of any shape
    """Whether a result says that all went well."""
    if isinstance(result, dict):
        return bool(result.get("ok", "error" not in result))
    return result is not False


def obvious_text(result: Any) -> str:  # noqa: ANN401 - JSON of any shape
    """The text in a result that is plainly meant to be read by people; "" where there is none.

    A failure of the daemon's own tools explains itself to models, not to people.
    """
    if isinstance(result, dict):
        if not succeeded(result):
            return "" if "ok" in result else sentence(result.get("message") or result["error"])
        found = next((text for key in TEXT_KEYS if (text := sentence(result.get(key)))), "")
        return found or sentence(lone_value(result))
    return sentence(result)


def lone_value(result: Mapping[str, Any]) -> Any:  # noqa: ANN401 - JSON of any shape
    """The one thing that a result tells; None where it is not one."""
    told = [value for key, value in result.items() if key not in ABOUT_KEYS]
    return told[0] if len(told) == 1 else None


def sentence(value: object) -> str:
    """A value as something to say: text that is no JSON itself, cut to `MOST_SAID`; or a number."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    text = " ".join(plain(value).split())
    if text[:1] in ("{", "[", "<"):
        return ""
    return text if len(text) <= MOST_SAID else shortened(text)


def shortened(text: str) -> str:
    """The first sentences, else the first words, within `MOST_SAID`."""
    start = text[: MOST_SAID + 1]
    end = max(start.rfind(mark) for mark in (". ", "! ", "? "))
    return start[: end + 1] if end > 0 else start[:MOST_SAID].rpartition(" ")[0] + " …"
