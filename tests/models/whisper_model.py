"""Whisper models made on the spot, in CTranslate2's real file format, loaded by the real library.

Two kinds, both without training:

`write_true_shape` has the matrices of a published size filled with noise, so that it costs what
the published model costs. Its transcript is scripted: each position embedding of the decoder
points at the token that is to come there, which outweighs the noise; how much of it is said, the
length of the sound decides (`whisper_growth`).

`write_listener` is small and worked out by hand, and does hear: how long the sound lasts decides
how many words of its script it says, silence is `no_speech`, and a head of its decoder looks at
the place of each word. So partial transcripts, word times and the guards have something to work
on. Weights it needs beyond a byte's precision: load it with `compute_type = "float32"`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from ctranslate2.specs import WhisperSpec
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from tests.models.whisper_growth import grow

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Array = NDArray[np.float32]

MELS = 80
FRAMES = 1500
"""Encoder frames of 20 ms in the 30 s that Whisper knows."""
POSITIONS = 448
TIMESTAMPS = 1501
LANGUAGES = ("en", "de", "fr", "ja")
PROMPT = 3
"""Tokens in front of <|notimestamps|>: the position of that one foretells the first word."""

TEXT = "turn on the lamp in the kitchen and set a timer for five minutes please"
SENTENCE = tuple(TEXT.split())


class Shape(msgspec.Struct, frozen=True):
    """The size of a published model."""

    width: int
    heads: int
    layers: int
    text_tokens: int = 50_257
    languages: int = 99


SHAPES = {"tiny": Shape(384, 6, 4), "base": Shape(512, 8, 6), "small": Shape(768, 12, 12)}


class Vocabulary:
    """Tokens numbered as Whisper numbers them: text, specials, time stamps."""

    def __init__(self, words: Sequence[str], *, text_tokens: int, languages: Sequence[str]) -> None:
        """Without languages it is that of a model for English only."""
        alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
        text = [*alphabet, *dict.fromkeys(f"Ġ{word}" for word in words)]
        text += [f"Ġ<{number}>" for number in range(text_tokens - len(text) - 1)]
        if languages:
            text.append("")  # by this token CTranslate2 takes a vocabulary for a multilingual one
        specials = ["<|endoftext|>", "<|startoftranscript|>"]
        specials += [f"<|{language}|>" for language in languages]
        specials += ["<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>"]
        specials += ["<|nospeech|>", "<|notimestamps|>"]
        times = [f"<|{number * 0.02:.2f}|>" for number in range(TIMESTAMPS)]
        self.tokens = [*text, *specials, *times]
        self.specials = [*specials, *times]
        self.ids = {token: number for number, token in enumerate(self.tokens)}
        self.languages = tuple(languages)

    def __len__(self) -> int:
        return len(self.tokens)

    def word(self, word: str) -> int:
        """The token of a word with the space before it."""
        return self.ids[f"Ġ{word}"]

    def write_tokenizer(self, path: Path) -> None:
        """The `tokenizer.json` of this vocabulary."""
        plain = {token: number for token, number in self.ids.items() if token not in self.specials}
        tokenizer = Tokenizer(models.BPE(vocab=plain, merges=[]))
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        tokenizer.add_special_tokens(self.specials)
        assert tokenizer.token_to_id("<|0.00|>") == self.ids["<|0.00|>"]
        tokenizer.save(str(path))

    def config(self, alignment_heads: Sequence[tuple[int, int]]) -> dict[str, Any]:
        """What goes into `config.json`."""
        begin = self.ids["<|translate|>"]
        return {
            "suppress_ids": [self.ids["<|startoftranscript|>"], *range(begin, begin + 5)],
            "suppress_ids_begin": [self.word(""), self.ids["<|endoftext|>"]],
            "lang_ids": [self.ids[f"<|{language}|>"] for language in self.languages],
            "alignment_heads": list(alignment_heads),
        }


def write_true_shape(
    folder: Path, shape: str, *, words: Sequence[str] = SENTENCE, quantization: str = "int8"
) -> Path:
    """A model of a published size that says `words`, one for each `WORD_S` until the sound ends;
    returns `folder`."""
    size = SHAPES[shape]
    languages = [*LANGUAGES, *(f"x{number}" for number in range(size.languages - len(LANGUAGES)))]
    vocabulary = Vocabulary(words, text_tokens=size.text_tokens, languages=languages)
    noise = np.random.default_rng(7)

    def fill(*dims: int) -> Array:
        return noise.standard_normal(dims, np.float32) * np.float32(0.02)

    spec = _spec(size.width, size.heads, size.layers, fill)
    embeddings = noise.standard_normal((len(vocabulary), size.width), np.float32)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    places = fill(POSITIONS, size.width)
    script = [vocabulary.word(word) for word in words]
    script += [vocabulary.ids["<|endoftext|>"]] * (POSITIONS - PROMPT - len(script))
    # With time stamps, as faster-whisper asks by default, the text begins behind the first one.
    script.insert(0, vocabulary.ids["<|0.00|>"])
    for place, token in enumerate(script, PROMPT - 1):
        places[place] += 12 * embeddings[token]
    places[0] += 12 * embeddings[vocabulary.ids["<|en|>"]]
    spec.decoder.embeddings.weight = embeddings
    spec.decoder.projection.weight = embeddings
    spec.decoder.position_encodings.encodings = places
    spec.encoder.position_encodings.encodings = fill(FRAMES, size.width)
    end = embeddings[vocabulary.ids["<|endoftext|>"]]
    grow(spec, len(words), prompt=PROMPT, end=end, word_s=WORD_S)
    heads = [(size.layers - 1, head) for head in range(size.heads // 2)]
    return _save(spec, folder, vocabulary, heads, quantization)


def _save(
    spec: Any,  # noqa: ANN401  # untyped library
    folder: Path,
    vocabulary: Vocabulary,
    heads: Sequence[tuple[int, int]],
    quantization: str | None,
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    spec.register_vocabulary(vocabulary.tokens)
    for key, value in vocabulary.config(heads).items():
        setattr(spec.config, key, value)
    spec.validate()
    spec.optimize(quantization=quantization)
    spec.save(str(folder))
    vocabulary.write_tokenizer(folder / "tokenizer.json")
    return folder


def _spec(width: int, heads: int, layers: int, fill: Any) -> Any:  # noqa: ANN401
    """A specification with everything set by `fill` but embeddings, positions and projection."""
    spec = WhisperSpec(layers, heads, layers, heads)

    def norm(part: Any) -> None:  # noqa: ANN401
        part.gamma, part.beta = np.ones(width, np.float32), np.zeros(width, np.float32)

    def linear(part: Any, rows: int, columns: int) -> None:  # noqa: ANN401
        part.weight, part.bias = fill(rows, columns), np.zeros(rows, np.float32)

    spec.encoder.conv1.weight = fill(width, MELS, 3)
    spec.encoder.conv2.weight = fill(width, width, 3)
    for conv in (spec.encoder.conv1, spec.encoder.conv2):
        conv.bias = np.zeros(width, np.float32)
    for side in (spec.encoder, spec.decoder):
        norm(side.layer_norm)
        for layer in side.layer:
            norm(layer.self_attention.layer_norm)
            linear(layer.self_attention.linear[0], 3 * width, width)
            linear(layer.self_attention.linear[1], width, width)
            norm(layer.ffn.layer_norm)
            linear(layer.ffn.linear_0, 4 * width, width)
            linear(layer.ffn.linear_1, width, 4 * width)
    for layer in spec.decoder.layer:
        norm(layer.attention.layer_norm)
        linear(layer.attention.linear[0], width, width)
        linear(layer.attention.linear[1], 2 * width, width)
        linear(layer.attention.linear[2], width, width)
    return spec


# -- a model that hears -------------------------------------------------------------------

WIDTH, HEAD = 128, 32
WORD_S = 0.3
"""How long a word of a listener takes."""

# Dimensions of what the encoder gives, and of the decoder's stream. The first 64 of the latter
# are for the direction of the token to come.
TOKEN = slice(0, 64)
DOUBT = slice(64, 72)
PLACE, ONE, END, LENGTH, LOUD, AIM = 72, 73, 74, 75, 76, 77
FILL = slice(120, 128)
MIRROR = 16


class Listener(msgspec.Struct, frozen=True, kw_only=True):
    """What a listener says: no more than `words`, however long the sound.

    `rambles`: it says the last word on and on, unless it is given a window of 30 s; `endless`:
    even then. `level` is the mean of the mel bands, as Whisper scales them, from which on a
    frame is loud.
    """

    words: tuple[str, ...] = SENTENCE
    language: str = "en"
    rambles: bool = False
    endless: bool = False
    english_only: bool = False
    level: float = 0.3


def write_listener(folder: Path, listener: Listener | None = None) -> Path:
    """A small model that says one word of its script for each `WORD_S` until the sound ends."""
    plan = listener or Listener()
    languages = () if plan.english_only else LANGUAGES
    vocabulary = Vocabulary(plan.words, text_tokens=400, languages=languages)
    spec = _spec(WIDTH, WIDTH // HEAD, 1, lambda *dims: np.zeros(dims, np.float32))
    _hear(spec.encoder, plan.level)
    _attend(spec.decoder.layer[0].attention)
    _speak(spec.decoder, vocabulary, plan)
    return _save(spec, folder, vocabulary, [(0, 2)], None)


def _hear(encoder: Any, level: float) -> None:  # noqa: ANN401
    """Time, its square and loudness of each frame.

    The first convolution has a channel that rises with the mean of the bands from `level` on,
    and another that does so from a little above; the second one takes their difference, which
    is 1 for a loud frame and 0 for a quiet one.
    """
    steepness = 40.0
    conv1 = encoder.conv1.weight
    conv1[0, :, 1] = conv1[1, :, 1] = steepness / MELS
    encoder.conv1.bias[:2] = -steepness * level, -steepness * level - 4
    encoder.conv2.weight[LOUD, :2, 1] = 0.25, -0.25
    time = np.arange(FRAMES) / FRAMES
    places = np.zeros((FRAMES, WIDTH))
    places[:, PLACE], places[:, PLACE + MIRROR] = time, -time
    places[:, ONE], places[:, ONE + MIRROR] = time**2, -(time**2)
    encoder.position_encodings.encodings = _unit_variance(places)


def _unit_variance(rows: NDArray[np.float64]) -> Array:
    """Fill `FILL` up so that a layer norm leaves the rows as they are."""
    spare = WIDTH - (rows**2).sum(axis=1)
    assert (spare > 0).all()
    fill = np.sqrt(spare / (FILL.stop - FILL.start))
    signs = np.resize([1, -1], FILL.stop - FILL.start)
    rows[:, FILL] = fill[:, None] * signs
    return rows.astype(np.float32)


def _attend(attention: Any) -> None:  # noqa: ANN401
    """Head 0 looks at the last loud frame, 1 at all frames alike, 2 where the word should be."""
    query, memory, out = attention.linear
    root = np.sqrt(HEAD)

    def read(row: int, channel: int, weight: float) -> None:
        # Against its mirror image: what a layer norm has taken from both falls out.
        memory.weight[row, channel] += weight / 2
        memory.weight[row, channel + MIRROR] -= weight / 2

    query.bias[0] = root
    memory.weight[0, LOUD] = 600
    read(0, PLACE, 150)
    first, second = 2 * HEAD, 2 * HEAD + 1
    sharp = 10_000.0  # beyond 2.8 s from all words the weights vanish, and their times are no good
    query.weight[first, AIM] = 2 * sharp * root
    read(first, PLACE, 1)
    query.bias[second] = -sharp * root
    read(second, ONE, 1)
    values = WIDTH
    read(values, PLACE, 1)
    memory.weight[values + 1, LOUD] = 1
    read(values + HEAD, PLACE, 1)
    out.weight[END, 0] = 1
    out.weight[LOUD, 1] = 1
    out.weight[LENGTH, HEAD] = 1
    # Where nothing is loud a large vector comes in, and what is left of all else is small.
    signs = np.resize([1, -1], DOUBT.stop - DOUBT.start)
    out.bias[DOUBT] = 60 * signs
    out.weight[DOUBT, 1] = -60 / 0.84 * signs


def _speak(decoder: Any, vocabulary: Vocabulary, plan: Listener) -> None:  # noqa: ANN401
    size = len(vocabulary)
    noise = np.random.default_rng(7)
    directions = noise.standard_normal((size, TOKEN.stop))
    directions -= directions.mean(axis=1, keepdims=True)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    projection = np.zeros((size, WIDTH))
    projection[:, TOKEN] = 4 * directions
    script = [vocabulary.word(word) for word in plan.words]
    script += [script[-1]] * (POSITIONS - PROMPT - len(script))
    places = np.zeros((POSITIONS, WIDTH))
    if not plan.english_only:
        places[0, TOKEN] = 8 * directions[vocabulary.ids[f"<|{plan.language}|>"]]
    for count, token in enumerate(script):
        # A model for English only is told neither the language nor the task.
        place = count + (1 if plan.english_only else PROMPT)
        places[place, TOKEN] = 8 * directions[token]
        places[place, PLACE] = places[place, AIM] = min((count + 0.5) * WORD_S / 30, 2)
        if count >= len(plan.words) and not (plan.rambles or plan.endless):
            places[place, PLACE] = 2  # behind any sound
    places[:, ONE] = 1
    for channel in (PLACE, ONE, AIM):
        places[:, channel + MIRROR] = -places[:, channel]
    decoder.position_encodings.encodings = _unit_variance(places)
    end = projection[vocabulary.ids["<|endoftext|>"]]
    end[TOKEN] = 0
    # The end outweighs any word once the place of the next one lies behind the last sound.
    steep = 12_000.0
    end[PLACE], end[END] = steep, -steep
    if plan.rambles:
        end[LENGTH], end[ONE] = 1.5 * steep, -1.5 * steep / 2
    if plan.endless:
        end[ONE] = -10 * steep
    silence = projection[vocabulary.ids["<|nospeech|>"]]
    silence[TOKEN] = 0
    silence[ONE], silence[LOUD] = 2_000 * 0.42, -2_000
    decoder.projection.weight = projection.astype(np.float32)
    decoder.embeddings.weight = np.zeros((size, WIDTH), np.float32)
