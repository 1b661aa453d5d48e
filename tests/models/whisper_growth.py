"""Has a Whisper model of true shape say no more words than there was sound for.

Without it such a model says its whole script from the first partial transcript on: words would be
known before they are said, and whoever works with partial transcripts would be flattered.

One attention head of the decoder's first layer is worked out by hand; all other numbers stay what
they are, and no matrix gets another size. Encoder frames carry, in channels that the noise of the
layers does not reach, whether they are loud and in which word's time they lie. At the place of a
word the head looks for a loud frame in its time or later. Where there is none it looks at the
first frame, and what it brings along from there outweighs the word with the end of the text. These
are choices between far ends: a byte's precision does for them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float32]

FRAME_S = 0.02
HEAD = 64
"""Numbers of a head, in all published sizes."""

LOUD, FIRST = 0, 1
FILLING = slice(2, 6)
CODES = 6
"""Channels of the encoder: loudness, the first frame, what makes all frames equally large, and from
here on one for the time of each word. The decoder has every other one for a word: an old processor
adds products of bytes two by two, and two large ones are more than it can hold."""

STRONG, LARGE = 10.0, 20.0
"""What a channel holds that says something, and what one of the filling does."""

AIM = 4.0
LATE, NOISY, NONE = 60.0, 20.0, 40.0
"""How much more a frame is looked at that lies late enough, that is loud, that is the first: less
than one that is both, loud or not, and more than one that is loud too early."""

END = 40.0
"""How strongly the end is meant where nothing was heard; a word is by 12."""

LEVEL, STEEP = 0.3, 40.0
"""The mean of the mel bands, as Whisper scales them, from which on a frame is loud."""


def grow(spec: Any, words: int, *, prompt: int, end: Array, word_s: float) -> None:  # noqa: ANN401
    """Change a filled specification, in place. `words` is how long its script is, the first of them
    at the decoder's place `prompt`; `end` is the direction of the token that ends the text."""
    assert CODES + words <= HEAD
    _hear(spec.encoder, words, word_s)
    places = spec.decoder.position_encodings.encodings
    places[:, _aims(words)] = 0.0
    for place in range(len(places)):
        places[place, _aims(words)][min(max(place - prompt, 0), words - 1)] = AIM
    _look(spec.decoder.layer[0].attention, words, end, _spread(len(end), AIM**2 + 144.0))


def _aims(words: int) -> slice:
    return slice(CODES, CODES + 2 * words, 2)


def _spread(width: int, square: float) -> float:
    """What a norm divides a row by whose square is that."""
    return float(np.sqrt(square / width))


def _hear(encoder: Any, words: int, word_s: float) -> None:  # noqa: ANN401
    own = slice(0, CODES + words)
    mels = encoder.conv1.weight.shape[1]
    encoder.conv1.weight[:2] = 0.0
    encoder.conv1.weight[:2, :, 1] = STEEP / mels
    encoder.conv1.bias[:2] = -STEEP * LEVEL, -STEEP * LEVEL - 4
    encoder.conv2.weight[:, :2] = 0.0
    encoder.conv2.weight[own] = 0.0
    encoder.conv2.weight[LOUD, :2, 1] = STRONG / 4, -STRONG / 4
    for layer in encoder.layer:
        layer.self_attention.linear[1].weight[own] = 0.0
        layer.ffn.linear_1.weight[own] = 0.0
    places = encoder.position_encodings.encodings
    places[:, own] = 0.0
    places[:, FILLING] = LARGE * np.resize([1.0, -1.0], FILLING.stop - FILLING.start)
    places[0, FIRST] = STRONG
    for frame in range(len(places)):
        word = int(frame * FRAME_S / word_s - 0.5)
        if frame * FRAME_S >= word_s / 2:
            places[frame, CODES + min(word, words - 1)] = STRONG


def _look(attention: Any, words: int, end: Array, aimed: float) -> None:  # noqa: ANN401
    query, memory, out = attention.linear
    width = len(end)
    said = STRONG / _spread(width, (FILLING.stop - FILLING.start) * LARGE**2 + 2 * STRONG**2)
    root = np.sqrt(HEAD)
    query.weight[:HEAD] = memory.weight[:HEAD] = memory.weight[width : width + HEAD] = 0.0
    query.bias[LOUD] = query.bias[FIRST] = root
    for word in range(words):
        # The frames of this word's time are late enough for it, and for each one before it.
        query.weight[CODES + word, _aims(word + 1)] = root * aimed / AIM
        memory.weight[CODES + word, CODES + word] = LATE / said
    memory.weight[LOUD, LOUD] = NOISY / said
    memory.weight[FIRST, FIRST] = NONE / said
    memory.weight[width, LOUD] = 1.0 / said
    memory.weight[width, FIRST] = -2.0 / said
    out.weight[:, :HEAD] = 0.0
    out.weight[:, 0] = -END * end
    out.bias[:] = END * end
