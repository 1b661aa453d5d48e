"""Subtitles to the byte."""

from __future__ import annotations

from voiced.engines.ports import Timed
from voiced.media.subtitles import write_srt, write_vtt

SEGMENTS = [
    Timed(start=0.0, end=1.2344, text="Turn on the light."),
    Timed(start=59.9996, end=3_661.5, text="Tom & <b>Jerry</b>\n\n--> 2"),
]


def test_srt() -> None:
    assert write_srt(SEGMENTS) == (
        "1\n00:00:00,000 --> 00:00:01,234\nTurn on the light.\n\n"
        "2\n00:01:00,000 --> 01:01:01,500\nTom & <b>Jerry</b> -> 2\n\n"
    )


def test_vtt() -> None:
    assert write_vtt(SEGMENTS) == (
        "WEBVTT\n\n"
        "00:00:00.000 --> 00:00:01.234\nTurn on the light.\n\n"
        "00:01:00.000 --> 01:01:01.500\nTom &amp; &lt;b&gt;Jerry&lt;/b&gt; -&gt; 2\n\n"
    )


def test_nothing_said() -> None:
    assert write_srt([]) == ""
    assert write_vtt([]) == "WEBVTT\n\n"
