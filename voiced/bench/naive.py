"""The same models as anybody uses them who follows the READMEs: `python -m` this.

What the benches hold the engines against. One process with the three libraries in it, as a script
has them, and with what they choose by themselves: threads, beams, windows, temperatures.

Reads an `Asked` as JSON from each line of standard input and answers with a line that is a `Spent`;
ends when standard input does. It takes the time itself, so that no pipe counts.
"""

from __future__ import annotations

import importlib
import sys
import time
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

Native: TypeAlias = Any
"""A model of a library without types."""

Op = Literal["load", "encode", "transcribe", "first token", "first sound", "speech", "turn"]

ENDS = (".", "!", "?")

CONTEXT = 2048
"""Tokens of the language model. The library's own 512 would not hold the conversation."""


class Asked(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """What to do. `whisper`, `llama` and `piper` are paths, for `load`; `threads` are those of each
    library, 0 what it chooses; `pcm` is PCM16 mono at 16 kHz; `tokens` so many of the answer are
    wanted at most. `text` is to be spoken; a `turn` without speaks the first sentence of its own
    answer."""

    op: Op
    whisper: str = ""
    llama: str = ""
    piper: str = ""
    threads: int = 0
    pcm: bytes = b""
    messages: list[dict[str, Any]] = []
    tokens: int = 0
    text: str = ""


class Spent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Milliseconds by stage, what was understood and what spoken. `fault`: it could not be done."""

    ms: dict[str, float] = {}
    heard: str = ""
    said: str = ""
    fault: str = ""


class NaiveUser:
    """Has the libraries' own objects, and uses them as their examples do."""

    def __init__(self) -> None:
        self._whisper: Native = None
        self._llama: Native = None
        self._piper: Native = None

    def do(self, asked: Asked) -> Spent:
        """Raises whatever a library raises."""
        ways: dict[Op, Callable[[Asked], Spent]] = {
            "load": self._load,
            "encode": self._encode,
            "transcribe": self._transcribe,
            "first token": self._first_token,
            "first sound": self._first_sound,
            "speech": self._speech,
            "turn": self._turn,
        }
        return ways[asked.op](asked)

    def _load(self, asked: Asked) -> Spent:
        if asked.whisper:
            self._whisper = importlib.import_module("faster_whisper").WhisperModel(
                asked.whisper, device="cpu", compute_type="int8", cpu_threads=asked.threads
            )
        if asked.llama:
            self._llama = importlib.import_module("llama_cpp").Llama(
                model_path=asked.llama,
                n_ctx=CONTEXT,
                n_threads=asked.threads or None,
                n_threads_batch=asked.threads or None,
                verbose=False,
            )
        if asked.piper:
            self._piper = importlib.import_module("piper.voice").PiperVoice.load(asked.piper)
            if asked.threads:  # it has no option for that; the session is its own in all else
                runtime = importlib.import_module("onnxruntime")
                options = runtime.SessionOptions()
                options.intra_op_num_threads = asked.threads
                self._piper.session = runtime.InferenceSession(
                    asked.piper, sess_options=options, providers=["CPUExecutionProvider"]
                )
        return Spent()

    def _encode(self, asked: Asked) -> Spent:
        """The encoder's part of `transcribe`: 30 s, whatever there is to hear."""
        numpy = importlib.import_module("numpy")
        samples = to_samples(asked.pcm)
        began = time.perf_counter()
        features = self._whisper.feature_extractor(samples)
        missing = 3000 - features.shape[1]
        self._whisper.encode(numpy.pad(features, ((0, 0), (0, max(0, missing)))))
        return Spent(ms={"whole": since(began)})

    def _transcribe(self, asked: Asked) -> Spent:
        samples = to_samples(asked.pcm)
        began = time.perf_counter()
        heard = self._listen(samples)
        return Spent(ms={"whole": since(began)}, heard=heard)

    def _first_token(self, asked: Asked) -> Spent:
        began = time.perf_counter()
        next(self._answer(asked.messages, 1))
        return Spent(ms={"whole": since(began)})

    def _first_sound(self, asked: Asked) -> Spent:
        began = time.perf_counter()
        next(iter(self._piper.synthesize(asked.text)))
        return Spent(ms={"whole": since(began)})

    def _speech(self, asked: Asked) -> Spent:
        began = time.perf_counter()
        for _ in self._piper.synthesize(asked.text):
            pass
        return Spent(ms={"whole": since(began)})

    def _turn(self, asked: Asked) -> Spent:
        """One after the other: all of the speech, all of the sentence, its sound."""
        samples = to_samples(asked.pcm)
        ms: dict[str, float] = {}
        began = time.perf_counter()
        heard = self._listen(samples)
        ms["stt"] = since(began)
        question = {"role": "user", "content": heard or "..."}
        began = time.perf_counter()
        answer = self._answer([*asked.messages, question], asked.tokens)
        said = asked.text or to_first_sentence(map(text_of, answer))
        for _ in answer if asked.text else ():
            pass
        ms["llm"] = since(began)
        if not said:
            raise ValueError("the model answers nothing")
        began = time.perf_counter()
        next(iter(self._piper.synthesize(said)))
        ms["tts"] = since(began)
        ms["whole"] = sum(ms.values())
        return Spent(ms=ms, heard=heard, said=said)

    def _listen(self, samples: NDArray[Any]) -> str:
        segments, _info = self._whisper.transcribe(samples)
        return "".join(segment.text for segment in segments).strip()

    def _answer(self, messages: list[dict[str, Any]], tokens: int) -> Iterator[Native]:
        """The tokens as they come; the item before the first one tells the role. The likeliest
        token each time, as ours takes it."""
        stream = self._llama.create_chat_completion(
            messages=messages, stream=True, max_tokens=tokens, temperature=0.0
        )
        next(stream)
        yield from stream


def text_of(chunk: Native) -> str:
    """What a chunk of llama-cpp-python's stream adds to the answer."""
    return str(chunk["choices"][0]["delta"].get("content") or "")


def to_first_sentence(pieces: Iterable[str]) -> str:
    """What they say up to the first mark that ends a sentence, or all of it: no more is waited
    for."""
    said = ""
    for piece in pieces:
        said += piece
        if said.rstrip().endswith(ENDS):
            break
    return said.strip()


def to_samples(pcm: bytes) -> NDArray[Any]:
    """As floats of -1 to 1."""
    numpy = importlib.import_module("numpy")
    samples: NDArray[Any] = numpy.frombuffer(pcm, "<i2").astype(numpy.float32) / 32768.0
    return samples


def since(began: float) -> float:
    """Milliseconds."""
    return (time.perf_counter() - began) * 1000


def main() -> None:
    """Answer until nobody asks any more."""
    user = NaiveUser()
    answers, sys.stdout = sys.stdout.buffer, sys.stderr  # libraries may print
    for line in sys.stdin.buffer:
        try:
            spent = user.do(msgspec.json.decode(line, type=Asked))
        except Exception as exc:  # whatever a library raises: the one who asked shall know
            spent = Spent(fault=f"{type(exc).__name__}: {exc}")
        answers.write(msgspec.json.encode(spent) + b"\n")
        answers.flush()


if __name__ == "__main__":
    main()
