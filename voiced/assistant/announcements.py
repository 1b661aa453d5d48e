"""What the daemon says unasked, in the words of the sentences file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from voiced.assistant.document import read_document
from voiced.assistant.files import assistant_files
from voiced.assistant.replies import Reply, ReplyError, parse_reply
from voiced.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voiced.assistant.document import Document
    from voiced.settings import Settings

ANNOUNCEMENTS: Mapping[str, Mapping[str, float]] = {
    "no_answer": {},
    "timer_over": {"duration_s": 300.0},
    "timer_missed": {"duration_s": 300.0, "late_s": 180.0},
}
"""What may be announced, and example values of what can be filled in."""


class Announcements(msgspec.Struct, frozen=True):
    """The templates of all announcements by name."""

    templates: dict[str, Reply]

    def phrase(self, name: str, values: Mapping[str, Any], /) -> str:
        """The text of an announcement. `values` are those that `ANNOUNCEMENTS` names."""
        return self.templates[name].fill(values)


def announcements_of(settings: Settings) -> Announcements:
    """What the daemon says by itself, in the words of the settings. Raises `ModelError`."""
    return load_announcements(
        {"sentences": settings.llm.sentences, "language": settings.stt.language}
    )


def load_announcements(options: Mapping[str, Any]) -> Announcements:
    """The announcements of the file that `options` mean, as `assistant_files` reads them.

    What that file leaves out, and everything for a language without a file, is said in the
    shipped English words. Raises `ModelError` with file and line for a mistake. Reads files.
    """
    templates = _read({})
    try:
        own = _read(options)
    except ModelError:
        if options.get("sentences"):
            raise
        own = {}  # no sentences are shipped for the language, which a model may well speak
    return Announcements({**templates, **own})


def check_announcements(section: Document) -> dict[str, Reply]:
    """The section `announcements` of a sentences file. Raises `ModelError`."""
    found: dict[str, Reply] = {}
    for name, entry in section.keys(ANNOUNCEMENTS).items():
        examples = ANNOUNCEMENTS[name]
        try:
            found[name] = parse_reply(entry.text(), examples)
            found[name].fill(examples)  # a filter that does not fit must not wait for the timer
        except ReplyError as error:
            entry.fail(str(error))
    return found


def _read(options: Mapping[str, Any]) -> dict[str, Reply]:
    root = read_document(assistant_files(options)[0]).keys()
    return check_announcements(root["announcements"]) if "announcements" in root else {}
