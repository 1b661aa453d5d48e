"""Transcripts as subtitles. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from voiced.engines.ports import Timed


def write_srt(segments: Iterable[Timed]) -> str:
    """SubRip: numbered cues, commas in times, a blank line after each."""
    return "".join(srt_cues(segments))


def srt_cues(segments: Iterable[Timed]) -> Iterator[str]:
    """The same, cue by cue."""
    return (
        f"{number}\n{_time(one.start, ',')} --> {_time(one.end, ',')}\n{_plain(one.text)}\n\n"
        for number, one in enumerate(segments, 1)
    )


def write_vtt(segments: Iterable[Timed]) -> str:
    """WebVTT."""
    return "".join(vtt_cues(segments))


def vtt_cues(segments: Iterable[Timed]) -> Iterator[str]:
    """The same, in portions: its head, and cue by cue."""
    yield "WEBVTT\n\n"
    for one in segments:
        times = f"{_time(one.start, '.')} --> {_time(one.end, '.')}"
        yield f"{times}\n{_escape(_plain(one.text))}\n\n"


def _time(seconds: float, point: str) -> str:
    """Hours and all, to the millisecond."""
    minutes, milliseconds = divmod(round(seconds * 1000), 60_000)
    hours, minutes = divmod(minutes, 60)
    whole, milliseconds = divmod(milliseconds, 1000)
    return f"{hours:02}:{minutes:02}:{whole:02}{point}{milliseconds:03}"


def _plain(text: str) -> str:
    """One line, and no arrow, which would be taken for a cue's times."""
    return " ".join(text.split()).replace("-->", "->")


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
