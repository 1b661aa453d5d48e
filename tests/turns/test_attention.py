"""How long a silence ends a turn, given what was said: on made-up answers, chunk by chunk."""

from __future__ import annotations

import itertools

import pytest

from voiced.turns.attention import SAMPLES_PER_MS, Attention, Manner, Move

CHUNK_MS = 32
PAUSE_MS = 200


def ms(milliseconds: float) -> int:
    return int(milliseconds * SAMPLES_PER_MS)


class Speaker:
    """Somebody who speaks or not, and a recogniser that answers at once."""

    def __init__(self, manner: Manner, answer: str | None, *, sentence: bool | None = None) -> None:
        self.attention = Attention(manner)
        self.attention.begin()
        self.answer = answer
        self.sentence = sentence
        self.now = 0
        self.asked_at: list[float] = []
        self.since: int | None = None

    def goes_on_for(self, milliseconds: float, *, speaking: bool) -> Move | None:
        """Until something is decided, else None."""
        end = self.now + ms(milliseconds)
        self.since = None if speaking else self.now
        while self.now < end:
            self.now += ms(CHUNK_MS)
            move = self.attention.follow(self.since, self.now)
            if move is Move.ASK:
                self.attention.asked(self.now)
                self.asked_at.append((self.now - (self.since or 0)) / SAMPLES_PER_MS)
                move = self.attention.answered(self.now, self.answer, self.sentence)
            if move is not Move.NOTHING:
                return move
        return None

    @property
    def patience_ms(self) -> float:
        return self.attention.silence_samples / SAMPLES_PER_MS


SEMANTIC = Manner(eagerness="medium", pause_ms=PAUSE_MS)


@pytest.mark.parametrize(
    ("answer", "sentence", "wait_ms"),
    [
        ("turn on the lamp", None, PAUSE_MS),
        ("turn on the", None, 4000),
        ("turn on the living", False, 4000),
        ("", None, 800),
        (None, None, 800),
    ],
)
def test_the_words_set_the_silence_that_ends_the_turn(
    answer: str | None, sentence: bool | None, wait_ms: float
) -> None:
    speaker = Speaker(SEMANTIC, answer, sentence=sentence)
    speaker.goes_on_for(1000, speaking=True)
    assert speaker.asked_at == [], "nothing is asked while there is no silence"
    speaker.goes_on_for(150, speaking=False)
    # It is known before the short silence is over: a complete sentence costs no time.
    assert speaker.patience_ms == wait_ms


def test_it_asks_at_the_start_of_a_silence_and_again_when_that_is_not_clear() -> None:
    speaker = Speaker(SEMANTIC, "turn on the")
    speaker.goes_on_for(500, speaking=True)
    speaker.goes_on_for(3000, speaking=False)
    first, second = speaker.asked_at
    assert first == CHUNK_MS
    assert PAUSE_MS <= second <= PAUSE_MS + CHUNK_MS
    complete = Speaker(SEMANTIC, "turn on the lamp")
    complete.goes_on_for(3000, speaking=False)
    assert complete.asked_at == [CHUNK_MS]


def test_speech_that_goes_on_is_judged_anew() -> None:
    speaker = Speaker(SEMANTIC, "turn on the lamp")
    speaker.goes_on_for(150, speaking=False)
    assert speaker.patience_ms == PAUSE_MS
    speaker.answer = "turn on the lamp and"
    speaker.goes_on_for(64, speaking=True)
    assert speaker.patience_ms == 800
    speaker.goes_on_for(150, speaking=False)
    assert speaker.patience_ms == 4000


def test_an_answer_about_an_earlier_silence_says_nothing_about_this_one() -> None:
    attention = Attention(SEMANTIC)
    attention.begin()
    assert attention.follow(ms(1000), ms(1032)) is Move.ASK
    attention.asked(ms(1032))
    attention.follow(None, ms(1064))
    attention.answered(ms(1032), "turn on the lamp")
    assert attention.silence_samples == ms(800)
    attention.follow(ms(2000), ms(2032))
    attention.answered(ms(1032), "turn on the lamp")
    assert attention.silence_samples == ms(800)


def test_where_silence_decides_nobody_is_asked() -> None:
    speaker = Speaker(Manner(pause_ms=500), "turn on the")
    speaker.goes_on_for(500, speaking=True)
    assert speaker.goes_on_for(3000, speaking=False) is None
    assert speaker.asked_at == []
    assert speaker.patience_ms == 500


def test_a_recogniser_that_works_ahead_is_asked_once_as_each_silence_begins() -> None:
    speaker = Speaker(Manner(pause_ms=500, early=True), "turn on the")
    for _ in range(2):
        speaker.goes_on_for(500, speaking=True)
        speaker.goes_on_for(300, speaking=False)
        assert speaker.patience_ms == 500  # what it answers does not matter
    assert speaker.asked_at == [CHUNK_MS, CHUNK_MS]


@pytest.mark.parametrize("manner", [Manner(along=True), Manner(along=True, eagerness="low")])
@pytest.mark.parametrize(("takes_ms", "every_ms"), [(100, 1_000), (600, 2_400)])
def test_who_speaks_on_is_followed_now_and_then(
    manner: Manner, takes_ms: int, every_ms: int
) -> None:
    attention = Attention(manner)
    attention.begin(ms(5_000))
    asked: list[int] = []
    for at in range(5_000, 20_000, CHUNK_MS):
        if attention.follow(None, ms(at)) is Move.ASK_IN_PASSING:
            asked.append(at)
            attention.asked(ms(at))
            attention.took(ms(at), ms(at + takes_ms))
            assert attention.answered(ms(at), "turn on the") is Move.NOTHING
    assert asked[0] - 5_000 == pytest.approx(1_000, abs=CHUNK_MS)
    between = [later - earlier for earlier, later in itertools.pairwise(asked)]
    assert between == pytest.approx([every_ms] * len(between), abs=CHUNK_MS)
    assert len(between) > 4


def test_words_that_interrupt_are_judged_as_the_turn_they_begin() -> None:
    speaker = Speaker(SEMANTIC, "")
    speaker.attention.hold(0)
    speaker.goes_on_for(300, speaking=True)
    assert speaker.goes_on_for(PAUSE_MS - CHUNK_MS, speaking=False) is None
    # A recogniser may know a word only once it is over, when it is asked for the last time.
    speaker.answer = "turn on the lamp"
    assert speaker.goes_on_for(2 * CHUNK_MS, speaking=False) is Move.INTERRUPT
    speaker.attention.release()
    assert speaker.patience_ms == PAUSE_MS
