"""llama.cpp in this process: a model, its vocabulary, and a context that can be stopped.

Through the low level of llama-cpp-python. Its high level cannot stop within a prompt and keeps one
conversation; and its way to stop is a Python function that every node of the graph calls.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import re
import sys
from importlib.metadata import requires
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from voiced.engines.llm.llama_log import Native, log_of
from voiced.errors import EngineFailed, ModelError
from voiced.resources import checkout_script

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

PACKAGE = "llama-cpp-python"

PIECE_BYTES = 256
ATTRIBUTE_CONTROL, ATTRIBUTE_USER_DEFINED = 1 << 3, 1 << 4
"""LLAMA_TOKEN_ATTR_CONTROL and LLAMA_TOKEN_ATTR_USER_DEFINED."""

MARK_LIKE = re.compile(r"<\|[\w ]+\|>")

DECODED, NO_ROOM, ABORTED = 0, 1, 2
"""What `llama_decode` returns."""


class Aborted(Exception):
    """The flag was set while the model computed."""


class LlamaShape(msgspec.Struct, frozen=True, kw_only=True):
    """How a context is laid out: `sequences` of up to `context` tokens, read `batch` at a time."""

    context: int
    sequences: int
    batch: int
    threads: int
    threads_batch: int


def open_library() -> Native:
    """The low-level bindings. Raises `ModelError` telling how to install them."""
    try:
        library = importlib.import_module("llama_cpp.llama_cpp")
    except ImportError as exc:
        raise ModelError(
            f"{PACKAGE} is not installed ({exc}); with a C++ compiler (on Debian: apt install "
            f"g++), compile it in some minutes by: {install_command()}"
        ) from exc
    except (OSError, RuntimeError, AttributeError) as exc:
        raise ModelError(
            f"{PACKAGE} does not load: {exc}; compile it anew by: {install_command()}"
        ) from exc
    return library


def install_command() -> str:
    """What to type: in a checkout its script, which has what is pinned, else for the interpreter
    that this is."""
    if script := checkout_script("run"):
        return f"VOICED_EXTRAS=llama {script}"
    wanted = next((r for r in requires("voiced") or () if r.startswith(PACKAGE)), PACKAGE)
    return f"{sys.executable} -m pip install '{wanted.partition(';')[0].strip()}'"


def _nothing() -> None:
    pass


class Vocabulary:
    """Text to tokens and back."""

    def __init__(self, library: Native, vocab: Native) -> None:
        self._lib = library
        self._vocab = vocab
        self.size = int(library.llama_vocab_n_tokens(vocab))
        self._buffer = ctypes.create_string_buffer(PIECE_BYTES)
        self._ends = bytearray(self.size)
        self._controls = bytearray(self.size)
        for token in range(self.size):
            self._ends[token] = library.llama_vocab_is_eog(vocab, token)
            attributes = library.llama_vocab_get_attr(vocab, token)
            self._controls[token] = bool(attributes & ATTRIBUTE_CONTROL) or (
                # llama.cpp makes these of gpt-oss's marks, and converters of some others'.
                bool(attributes & ATTRIBUTE_USER_DEFINED)
                and bool(MARK_LIKE.fullmatch(self._named(token)))
            )
        begin = library.llama_vocab_bos(vocab)
        self.bos = self._named(begin)
        self.eos = self._named(library.llama_vocab_eos(vocab))
        adds = library.llama_vocab_get_add_bos(vocab) and begin >= 0
        self._in_front = [int(begin)] if adds else []

    @property
    def handle(self) -> Native:
        """For the library."""
        return self._vocab

    @property
    def controls(self) -> dict[int, str]:
        """All control tokens and their texts, and those that are as good as control tokens."""
        return {token: self._named(token) for token in range(self.size) if self._controls[token]}

    def tokens(self, text: str) -> list[int]:
        """A prompt as tokens, its control tokens read as such. A token that begins every text is
        put in front, where the model wants one and the text has none.

        Not by llama.cpp: it would put the one that ends every text behind, where a model has that,
        and a model that reads it has nothing more to say.
        """
        data = text.encode("utf-8", "replace")
        room = len(data) + 8
        found = (ctypes.c_int32 * room)()
        count = self._lib.llama_tokenize(self._vocab, data, len(data), found, room, False, True)
        if count < 0:
            raise EngineFailed("a text could not be cut into tokens")
        begun = bool(self.bos) and text.startswith(self.bos)
        return [*([] if begun else self._in_front), *found[:count]]

    def piece(self, token: int, *, control: bool = False) -> bytes:
        """The bytes of a token; nothing for a control token, unless these are wanted."""
        size = self._lib.llama_token_to_piece(
            self._vocab, token, self._buffer, PIECE_BYTES, 0, control
        )
        if size < 0:
            longer = ctypes.create_string_buffer(-size)
            size = self._lib.llama_token_to_piece(self._vocab, token, longer, -size, 0, control)
            return longer.raw[:size]
        return self._buffer.raw[:size]

    def ends(self, token: int) -> bool:
        """Whether this token ends an answer."""
        return bool(self._ends[token])

    def _named(self, token: int) -> str:
        return self.piece(token, control=True).decode("utf-8", "replace") if token >= 0 else ""


class LlamaContext:
    """A loaded model with the memory of its sequences.

    `stop` may be called from any thread and makes the computation that runs raise `Aborted`, within
    a node of the graph, until `go`. All else belongs to one thread.
    """

    def __init__(self, library: Native, path: Path, shape: LlamaShape) -> None:
        """Raises `ModelError` with llama.cpp's reason."""
        self._lib = library
        self._log = log_of(library)
        self._log.forget()
        self.shape = shape
        library.llama_backend_init()
        params = library.llama_model_default_params()
        params.n_gpu_layers = 0
        self._model = library.llama_model_load_from_file(os.fsencode(path), params)
        if not self._model:
            raise ModelError(f"cannot load the GGUF model {path}: {self._log.cause()}")
        if library.llama_model_has_encoder(self._model):
            raise ModelError(f"{path} is a model of the kind that translates, not one that chats")
        self.vocabulary = Vocabulary(library, library.llama_model_get_vocab(self._model))
        self.copies = not (
            library.llama_model_is_recurrent(self._model)
            or library.llama_model_is_hybrid(self._model)
        )
        """Whether the start of a sequence can be taken over into another. Where it cannot, the
        model has a state in place of the tokens: what was computed in part has spoilt it."""
        self._flag = ctypes.create_string_buffer(2)
        self._context = self._open_context(path)
        self._memory = library.llama_get_memory(self._context)
        if not self._memory:  # it would compute, and remember nothing
            raise ModelError(
                f"{path} is a model of a kind that does not write word by word, not a language "
                "model; choose one that chats"
            )
        self._batch = library.llama_batch_init(shape.batch, 0, 1)
        self.evaluated = 0
        """Tokens computed so far."""

    def _open_context(self, path: Path) -> Native:
        params = self._lib.llama_context_default_params()
        params.n_ctx = self.shape.context * self.shape.sequences
        params.n_batch = params.n_ubatch = self.shape.batch
        params.n_seq_max = self.shape.sequences
        params.n_threads = self.shape.threads
        params.n_threads_batch = self.shape.threads_batch
        params.kv_unified = True  # any sequence may share its beginning with another
        params.swa_full = True  # a window that slides could not be taken back to a prefix
        params.no_perf = True
        context = self._lib.llama_init_from_model(self._model, params)
        if not context:
            raise ModelError(
                f"the GGUF model {path} cannot be given a context of {self.shape.context} tokens: "
                f"{self._log.cause()}; lower llm.context"
            )
        # A C function, not one of Python's: this is called after every node, by a thread that
        # would wait for the interpreter each time. The length of a string is 0 while its first
        # byte is, and 1 once that is set: a flag, and a function that reads it.
        libc = ctypes.CDLL(None)
        self._callback = ctypes.cast(libc.strlen, self._lib.ggml_abort_callback)
        self._lib.llama_set_abort_callback(
            context, self._callback, ctypes.cast(self._flag, ctypes.c_void_p)
        )
        return context

    def close(self) -> None:
        """Give the memory back; twice is fine."""
        if self._context:
            self._lib.llama_batch_free(self._batch)
            self._lib.llama_free(self._context)
            self._lib.llama_model_free(self._model)
            self._context = self._model = None

    @property
    def handle(self) -> Native:
        """The context, for samplers."""
        return self._context

    # -- stopping

    def stop(self) -> None:
        """Stop what computes now, and all that would, until `go`. From any thread."""
        self._flag[0] = b"\x01"

    def go(self) -> None:
        """Compute again."""
        self._flag[0] = b"\x00"

    # -- memory

    def length(self, sequence: int) -> int:
        """How many tokens the sequence remembers."""
        return int(self._lib.llama_memory_seq_pos_max(self._memory, sequence)) + 1

    def truncate(self, sequence: int, length: int) -> bool:
        """Forget what comes after `length` tokens. False where the model can only forget all."""
        return bool(self._lib.llama_memory_seq_rm(self._memory, sequence, length, -1))

    def copy(self, source: int, target: int, length: int) -> None:
        """Let `target`, which must be empty, begin with the first `length` tokens of `source`."""
        self._lib.llama_memory_seq_cp(self._memory, source, target, 0, length)

    # -- computing

    def decode(
        self,
        sequence: int,
        tokens: Sequence[int],
        position: int,
        *,
        went_on: Callable[[], None] = _nothing,
    ) -> None:
        """Compute `tokens` behind the `position` tokens that the sequence has; afterwards a
        sampler can choose what follows the last one. `went_on` is called after each batch.
        Raises `Aborted`, and `EngineFailed`."""
        for start in range(0, len(tokens), self.shape.batch):
            part = tokens[start : start + self.shape.batch]
            self._fill(sequence, part, position + start, last=start + len(part) == len(tokens))
            self._log.forget()
            status = self._lib.llama_decode(self._context, self._batch)
            if status == ABORTED:
                raise Aborted
            if status != DECODED:
                cause = "no room is left" if status == NO_ROOM else self._log.cause()
                raise EngineFailed(f"llama.cpp could not compute ({status}): {cause}")
            self.evaluated += len(part)
            went_on()

    def _fill(self, sequence: int, tokens: Sequence[int], position: int, *, last: bool) -> None:
        batch, count = self._batch, len(tokens)
        batch.n_tokens = count
        np.ctypeslib.as_array(batch.token, (count,))[:] = tokens
        np.ctypeslib.as_array(batch.pos, (count,))[:] = np.arange(position, position + count)
        np.ctypeslib.as_array(batch.n_seq_id, (count,))[:] = 1
        for index in range(count):
            batch.seq_id[index][0] = sequence
        wanted = np.ctypeslib.as_array(batch.logits, (count,))
        wanted[:] = 0
        if last:
            wanted[-1] = 1
