"""What is said unasked, in the words of the file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from voiced.assistant.announcements import ANNOUNCEMENTS, load_announcements
from voiced.assistant.files import assistant_files
from voiced.assistant.sentences import load_sentences
from voiced.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

OVER = {"duration_s": 300.0}
MISSED = {"duration_s": 300.0, "late_s": 180.0}


def test_the_shipped_file_has_words_for_all() -> None:
    announcements = load_announcements({})
    assert announcements.templates.keys() == ANNOUNCEMENTS.keys()
    assert announcements.phrase("timer_over", OVER) == "Your timer for 5 minutes is over."
    assert announcements.phrase("timer_missed", MISSED) == (
        "Your timer for 5 minutes was over 3 minutes ago."
    )


def test_a_file_of_ones_own_says_it_in_its_words_and_the_rest_in_english(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("announcements:\n  timer_over: Ding, {duration_s|duration}!\n")
    announcements = load_announcements({"sentences": str(path), "language": "tlh"})
    assert announcements.phrase("timer_over", OVER) == "Ding, 5 minutes!"
    assert announcements.phrase("timer_missed", MISSED).startswith("Your timer")
    path.write_text("intents: {}\n")
    assert load_announcements({"sentences": str(path)}) == load_announcements({})


def test_a_language_without_sentences_is_announced_in_english() -> None:
    assert load_announcements({"language": "tlh"}) == load_announcements({})


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("timer_rings: Ding", "unknown key 'timer_rings'"),
        ("timer_over: Ding {late_s}", "unknown placeholder {late_s}"),
        ("timer_over: Ding {duration_s|clock}", "does not fit {duration_s|clock}"),
        ("timer_over: [Ding]", "expected a text"),
    ],
)
def test_a_mistake_is_named_by_file_and_line_before_a_timer_rings(
    tmp_path: Path, line: str, fault: str
) -> None:
    shipped, home = assistant_files({})
    path = tmp_path / "mine.yaml"
    text = shipped.read_text(encoding="utf-8").partition("announcements:")[0]
    path.write_text(f"{text}announcements:\n  {line}\n", encoding="utf-8")
    for load in (
        lambda: load_announcements({"sentences": str(path)}),
        lambda: load_sentences(path, home),
    ):
        with pytest.raises(ModelError) as error:
            load()
        assert str(error.value).startswith(f"{path}:{text.count(chr(10)) + 2}: ")
        assert fault in str(error.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"gone\.yaml: cannot be read"):
        load_announcements({"sentences": str(tmp_path / "gone.yaml")})
