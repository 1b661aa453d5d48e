"""Choosing the next token: greedily or by chance, and, where a call must come out, by a grammar."""

from __future__ import annotations

import ctypes
import importlib
import json
import re
from math import isinf
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta

from voiced.errors import EngineFailed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from voiced.engines.llm.llama_library import LlamaContext
    from voiced.engines.llm.llama_log import Native

CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])
"""llama_token_data."""

PENALISED = 64
"""How many of the newest tokens a repetition is counted in, as in llama.cpp's own programs."""

RANDOM_SEED = 0xFFFFFFFF
"""LLAMA_DEFAULT_SEED: another one each time."""


class Sampling(msgspec.Struct, frozen=True, kw_only=True):
    """How bold the choice is. Greedy at temperature 0."""

    temperature: Annotated[float, Meta(ge=0.0, le=2.0)] = 0.6
    top_k: Annotated[int, Meta(ge=0)] = 40
    top_p: Annotated[float, Meta(gt=0.0, le=1.0)] = 0.95
    min_p: Annotated[float, Meta(ge=0.0, le=1.0)] = 0.05
    repeat_penalty: Annotated[float, Meta(ge=1.0, le=2.0)] = 1.0
    seed: int = -1


class Sampler:
    """Chooses tokens of one answer. `close` it."""

    def __init__(self, library: Native, context: LlamaContext, sampling: Sampling) -> None:
        self._lib = library
        self._context = context
        self._grammar: Native = None
        self._chain = library.llama_sampler_chain_init(library.llama_sampler_chain_default_params())
        for part in self._parts(sampling):
            library.llama_sampler_chain_add(self._chain, part)

    def _parts(self, sampling: Sampling) -> list[Any]:
        lib, parts = self._lib, []
        if sampling.repeat_penalty != 1.0:
            size = self._context.vocabulary.size
            parts.append(
                lib.llama_sampler_init_penalties(size, PENALISED, sampling.repeat_penalty, 0.0, 0.0)
            )
        if sampling.temperature <= 0.0:
            return [*parts, lib.llama_sampler_init_greedy()]
        seed = RANDOM_SEED if sampling.seed < 0 else sampling.seed & 0xFFFFFFFF
        return [
            *parts,
            lib.llama_sampler_init_top_k(sampling.top_k),
            lib.llama_sampler_init_top_p(sampling.top_p, 1),
            lib.llama_sampler_init_min_p(sampling.min_p, 1),
            lib.llama_sampler_init_temp(sampling.temperature),
            lib.llama_sampler_init_dist(seed),
        ]

    def constrain(self, grammar: str) -> bool:
        """From now on only what the GBNF grammar allows; False where llama.cpp refuses it."""
        self.release()
        made = self._lib.llama_sampler_init_grammar(
            self._context.vocabulary.handle, grammar.encode(), b"root"
        )
        self._grammar = made or None
        return bool(made)

    def release(self) -> None:
        """Anything is allowed again."""
        if self._grammar is not None:
            self._lib.llama_sampler_free(self._grammar)
            self._grammar = None

    def choose(self) -> int:
        """The token that follows what was computed last.

        With a grammar the choice is made freely first: it is mostly allowed, and asking of one
        token is quicker than of a whole vocabulary.
        """
        if self._grammar is None:
            return int(self._lib.llama_sampler_sample(self._chain, self._context.handle, -1))
        token = self._pick(self._candidates())
        if not self._allowed(token):
            candidates = self._candidates()
            self._apply(self._grammar, candidates)
            if bool(np.isneginf(candidates["logit"]).all()):
                raise EngineFailed("the grammar of a call allows no token at all")
            token = self._pick(candidates)
        self._lib.llama_sampler_accept(self._grammar, token)
        self._lib.llama_sampler_accept(self._chain, token)
        return token

    def close(self) -> None:
        """Give the memory back; twice is fine."""
        self.release()
        if self._chain is not None:
            self._lib.llama_sampler_free(self._chain)
            self._chain = None

    def _candidates(self) -> np.ndarray[Any, np.dtype[np.void]]:
        size = self._context.vocabulary.size
        logits = self._lib.llama_get_logits_ith(self._context.handle, -1)
        if not logits:
            raise EngineFailed("llama.cpp has computed nothing to choose from")
        candidates = np.empty(size, CANDIDATE)
        candidates["id"] = np.arange(size)
        candidates["logit"] = np.ctypeslib.as_array(logits, (size,))
        candidates["p"] = 0
        return candidates

    def _apply(self, sampler: Native, candidates: np.ndarray[Any, np.dtype[np.void]]) -> int:
        """Apply a sampler in place; the id of the token it selected, -1 where it selects none."""
        array = self._lib.llama_token_data_array(
            data=candidates.ctypes.data_as(self._lib.llama_token_data_p),
            size=len(candidates),
            selected=-1,
            sorted=False,
        )
        self._lib.llama_sampler_apply(sampler, ctypes.byref(array))
        return int(array.data[array.selected].id) if array.selected >= 0 else -1

    def _pick(self, candidates: np.ndarray[Any, np.dtype[np.void]]) -> int:
        token = self._apply(self._chain, candidates)
        if token < 0:
            raise EngineFailed("llama.cpp has chosen no token")
        return token

    def _allowed(self, token: int) -> bool:
        one = np.zeros(1, CANDIDATE)
        one["id"] = token
        one["logit"] = 1.0
        self._apply(self._grammar, one)
        return not isinf(float(one["logit"][0]))


ANYTHING = {"type": "object"}

MOST_GRAMMAR = 262_144
"""Characters of a grammar; a hundred functions have less."""

QUOTED = re.compile(r'"(?:\\.|[^"\\])*"|\[(?:\\.|[^\]\\])*\]')
"""In a grammar: a text, or a set of characters."""

LARGE = re.compile(r'"(?:min|max)(?:Length|Items)": *-?[\d.eE+]{5}|\{\d*,?\d{5}')
"""In a schema: so many of something, in its own words or in a pattern's, that the converter would
write it out for minutes, and fill the memory."""

DEEPEST_GRAMMAR = 512
"""Brackets in brackets. On a stack of 8 MiB llama.cpp read 8,000; 20,000 were its end."""


def call_grammar(tools: Sequence[Mapping[str, Any]], key: str, end: str = "") -> list[str]:
    """Grammars for one call of one of `tools` as JSON, `{"name": …, key: …}`, the best first.

    A schema that llama.cpp's converter does not know is left at any object; `end` follows.
    """
    grammars = []
    for strict in (True, False):
        schemas = [_call_schema(tool, key, strict=strict) for tool in tools]
        schema = schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
        convert = importlib.import_module("llama_cpp.llama_grammar").json_schema_to_gbnf
        try:
            grammar = str(convert(json.dumps(schema)))
        except Exception:  # the converter asserts, and fails on what it did not foresee
            continue
        if not is_sane(grammar):
            continue
        if end:
            grammar = grammar.replace("root ::=", "call-itself ::=", 1)
            grammar += f"\nroot ::= [ \\n]? call-itself [ \\n]? {json.dumps(end)}"
        grammars.append(grammar)
    return grammars


def is_sane(grammar: str) -> bool:
    """Whether llama.cpp can read it. It follows brackets by recursion, and the converter writes a
    bounded length as that many brackets: a schema from a client could end the process."""
    if len(grammar) > MOST_GRAMMAR:
        return False
    depth = deepest = 0
    for character in QUOTED.sub("", grammar):  # brackets in there are what is to be written
        depth += (character == "(") - (character == ")")
        deepest = max(deepest, depth)
    return deepest <= DEEPEST_GRAMMAR


def _call_schema(tool: Mapping[str, Any], key: str, *, strict: bool) -> dict[str, Any]:
    parameters = tool.get("parameters") or ANYTHING
    text = json.dumps(parameters)
    if not strict or not isinstance(parameters, dict) or '"$ref"' in text or LARGE.search(text):
        parameters = ANYTHING
    return {
        "type": "object",
        "properties": {"name": {"const": tool["name"]}, key: parameters},
        "required": ["name", key],
    }
