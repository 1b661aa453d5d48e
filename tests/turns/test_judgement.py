"""Whether somebody has finished: English case by case, and what holds for every language."""

from __future__ import annotations

import random

import pytest

from voiced.assistant.files import assistant_files
from voiced.assistant.grammar import build_grammar
from voiced.assistant.sentences import load_sentences
from voiced.turns.judgement import LONGEST_MS, Verdict, judge, silence_ms

COMPLETE = """
turn on the living room lamp
turn the light on
turn the lights off
switch it off
turn it up
set a timer for five minutes
set a timer for 3 hours and 10 minutes
set a timer for an hour and a half
set a timer for two and a half hours
set the volume to fifty
set the brightness to 50 percent
set the brightness to 50%
play the next song
what time is it
what's the weather
what's the weather in New York
what is the temperature in the kitchen
what is it for
what is that about
where are you from
who are you talking to
what are you looking at
where are we
how are you
who is he
what is this
what do you want
what should I do
how do you do
tell me what time it is
tell me how old you are
what is five plus three
what is 12 times 4
remind me tomorrow
remind me in ten minutes
I like that
I don't know
I can't
I don't think so
I think so
yes
yes please
yes I am
yes I do
no thank you
no
okay
stop
pause
next
thanks
thank you
thank you very much
never mind
so do I
me too
is the front door locked
lock the front door
open the blinds in the office
close the windows in the office
let him in
wake me up
good morning
have you been here before
You like it, don't you?
Really?
Stop!
Turn on the lamp.
who does it belong to
what does it look like
what's the date
call her
I went to the store and bought some milk
tell me everything
is there anything you need
is the light on
kitchen lights on
all the lights off please
that is it
once more
what's nine percent of five
"""

UNFINISHED = """
and
the
um
turn on the
turn on
turn off
turn
switch on the light and
turn on the light in the
set a timer for
set a timer for five
set a timer for 5
set a timer for twenty
remind me in ten
set a timer for five and a half
set a timer for one hour and
set the volume to
set
play the song by
what is
what's
what's the
what is the temperature in
what is the difference between
what is five plus
what is 12 times
how do you
what do you
where did you
can you
could you please
would you
I
I want
I want to
I would like
I'd like
I would like to
I was thinking um
I was thinking, uh
I think that's because
because
I need a
I'm
I'll
do you know if
do you know what
tell me
show me my
remind me
it was very
so I went to the store and
well I think I
the lamp of
call my
please turn on the lamp and...
please turn on the lamp,
please turn on the…
set a timer for ten -
let me think
let's see
turn on the lamp hang on
and then I
do you think we
a million and
"""

UNCLEAR = """
if it rains tomorrow
when I get home
after the news
lamp
tokyo
what is five plus twenty
set the thermostat to twenty
wake me at seven
five
I think it is
the kitchen's
tell me why
once I am home
"""


@pytest.mark.parametrize("text", COMPLETE.strip().splitlines())
def test_a_complete_sentence_ends_the_turn(text: str) -> None:
    assert judge(text, "en") is Verdict.COMPLETE


@pytest.mark.parametrize("text", UNFINISHED.strip().splitlines())
def test_what_must_go_on_is_waited_for(text: str) -> None:
    assert judge(text, "en") is Verdict.UNFINISHED


@pytest.mark.parametrize("text", UNCLEAR.strip().splitlines())
def test_what_may_go_on_is_given_some_time(text: str) -> None:
    assert judge(text, "en") is Verdict.UNCLEAR


@pytest.mark.parametrize("text", ["Turn ON the", "  turn on the  ", "Turn on the."])
def test_case_and_space_and_a_full_stop_of_the_recogniser_change_nothing(text: str) -> None:
    assert judge(text, "en-GB") is Verdict.UNFINISHED


@pytest.mark.parametrize("text", ["", "  ", "...", "?"])
@pytest.mark.parametrize("language", ["en", "de", "xx"])
def test_without_words_only_silence_tells(text: str, language: str) -> None:
    assert judge(text, language) is Verdict.UNCLEAR
    assert judge(text, language, sentence=False) is Verdict.UNCLEAR


@pytest.mark.parametrize("language", ["de", "xx", "", "e"])
def test_a_language_without_rules_is_judged_by_silence(language: str) -> None:
    assert judge("turn on the", language) is Verdict.UNCLEAR
    assert judge("turn on the lamp", language) is Verdict.UNCLEAR


def test_what_the_recogniser_knows_of_its_sentences_counts() -> None:
    # It hears nothing but its sentences: in the middle of one is certain, in any language.
    assert judge("turn on the living", "en", sentence=False) is Verdict.UNFINISHED
    assert judge("mach das Licht", "de", sentence=False) is Verdict.UNFINISHED
    # The end of one is certain where the words themselves do not tell,
    assert judge("mach das Licht an", "de", sentence=True) is Verdict.COMPLETE
    assert judge("set the thermostat to twenty", "en", sentence=True) is Verdict.COMPLETE
    # and no reason to cut somebody short who is plainly going on.
    assert judge("set a timer for five", "en", sentence=True) is Verdict.UNFINISHED


def sentences(count: int) -> set[str]:
    """So many walks through the grammar of all that the assistant understands."""
    grammar = build_grammar(load_sentences(*assistant_files({})))
    chance = random.Random(1)
    found = set()
    for _ in range(count):
        state, words = 0, []
        while state not in grammar.finals or (grammar.arcs[state] and chance.random() < 0.5):
            word = chance.choice(list(grammar.arcs[state]))
            words.append(word)
            state = grammar.arcs[state][word][0]
        found.add(" ".join(words))
    return found


def test_nobody_is_kept_waiting_after_a_sentence_of_the_assistants() -> None:
    said = sentences(3000)
    assert len(said) > 1000
    assert [text for text in said if judge(text, "en") is Verdict.UNFINISHED] == []
    # With what its recogniser knows of them, all are complete.
    assert {judge(text, "en", sentence=True) for text in said} == {Verdict.COMPLETE}
    clear = [text for text in said if judge(text, "en") is Verdict.COMPLETE]
    assert len(clear) > 0.85 * len(said)  # the rest ends in "... and twenty", mostly


def test_eagerness_sets_the_longest_wait_and_never_hurries_a_complete_sentence() -> None:
    assert [LONGEST_MS[one] for one in ("low", "medium", "high")] == [8000, 4000, 2000]
    assert LONGEST_MS["auto"] == LONGEST_MS["medium"]
    for eagerness in ("low", "medium", "high", "auto"):
        complete, unclear, unfinished = (silence_ms(v, eagerness, 200) for v in Verdict)
        assert complete == 200
        assert complete < unclear < unfinished == LONGEST_MS[eagerness]
        assert silence_ms(Verdict.UNCLEAR, eagerness, 2000) == 2000  # never shorter than that
