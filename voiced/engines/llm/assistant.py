"""The assistant: answers by sentence templates, and calls tools as a language model would.

The last message decides. From a user: the sentence is recognised and becomes a tool call or a
text. From a tool: its result becomes the text of a reply. Nothing is kept between requests.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from voiced.assistant.files import assistant_files
from voiced.assistant.replies import ReplyError
from voiced.assistant.sentences import load_sentences
from voiced.assistant.understanding import Understander
from voiced.engines.ports import EngineInfo

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from voiced.assistant.sentences import Intent, Sentences
    from voiced.assistant.understanding import Understanding
    from voiced.engines.ports import Work

_VERSION = "1"


class AssistantEngine:
    """`ChildEngine` of kind llm. Options: `sentences`, `home` (paths; empty for the shipped
    files) and `language`. Tokens are counted as words."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = options
        self._sentences: Sentences | None = None
        self._understander: Understander | None = None

    def load(self) -> EngineInfo:
        """Read both files; `ModelError` with file and line where one is wrong."""
        sentences_path, home_path = assistant_files(self._options)
        self._sentences = load_sentences(sentences_path, home_path)
        self._understander = Understander(self._sentences)
        return EngineInfo(
            kind="llm",
            name="assistant",
            version=_VERSION,
            model=sentences_path.name,
            languages=(self._sentences.language,),
            capabilities=("tools",),
        )

    def warm_up(self) -> None:
        """Understand something once."""
        self.understand("what time is it")

    def understand(self, text: str) -> Understanding | None:
        """The meaning of a sentence, without acting on it; None where it is not understood."""
        assert self._understander is not None, "load comes first"
        return self._understander.understand(text)

    def run(self, work: Work) -> Mapping[str, Any]:
        """Answer `reply` requests, as `ChildEngine.run` describes them.

        A cancel is noticed between messages, and between reading and answering; the answer
        itself takes milliseconds, whatever the last message is.
        """
        messages: Sequence[Mapping[str, Any]] = work.params.get("messages") or ()
        offered = {_tool_name(tool) for tool in work.params.get("tools") or ()}
        read = 0
        for message in messages:
            work.raise_if_cancelled()
            read += len(_text(message).split())
        work.raise_if_cancelled()
        answer = self._answer(messages, offered)
        work.raise_if_cancelled()
        if isinstance(answer, dict):
            work.emit({"tool_call": answer})
            written = 1 + len(answer["arguments"].split())
            return {"finish": "tool_calls", "input_tokens": read, "output_tokens": written}
        words = answer.split()
        limit = work.params.get("max_output_tokens")
        finish = "stop"
        if limit is not None and len(words) > limit:
            answer, finish = " ".join(words[:limit]), "length"
        if answer:
            work.emit({"text": answer})
        written = len(answer.split())
        return {"finish": finish, "input_tokens": read, "output_tokens": written}

    def _answer(
        self, messages: Sequence[Mapping[str, Any]], offered: set[str]
    ) -> str | dict[str, str]:
        """The text to say, or the tool call to make."""
        role = messages[-1].get("role") if messages else None
        if role == "user":
            return self._to_user(messages, offered)
        if role == "tool":
            return self._to_tool(messages)
        return self._general("ready")

    def _to_user(
        self, messages: Sequence[Mapping[str, Any]], offered: set[str]
    ) -> str | dict[str, str]:
        text = _text(messages[-1])
        if not any(character.isalnum() for character in text):
            return self._general("not_heard")
        meaning = self.understand(text)
        if meaning is None:
            return self._general("not_understood")
        if meaning.intent.tool:
            if meaning.intent.tool not in offered:
                return self._general("not_offered")
            return {
                "call_id": f"call_{os.urandom(8).hex()}",
                "name": meaning.intent.tool,
                "arguments": json.dumps(meaning.slots),
            }
        if meaning.intent.action == "repeat":
            said = (_text(m).strip() for m in reversed(messages) if m.get("role") == "assistant")
            last = next((text for text in said if text), "")
            if last:
                return last
        return self._filled(meaning.intent, "ok", meaning.slots, "done")

    def _to_tool(self, messages: Sequence[Mapping[str, Any]]) -> str:
        result = _result(_text(messages[-1]))
        ok = bool(result.get("ok", "error" not in result))
        outcome = str(result.get("status") or "ok") if ok else str(result.get("error"))
        otherwise = "done" if ok else "failed"
        question: Mapping[str, Any] = next(
            (m for m in reversed(messages) if m.get("role") == "user"), {}
        )
        meaning = self.understand(_text(question))
        if meaning is None or meaning.intent.tool != _called_tool(messages):
            return self._general(otherwise)
        if ok and outcome not in meaning.intent.replies:
            outcome = "ok"
        return self._filled(meaning.intent, outcome, {**result, **meaning.slots}, otherwise)

    def _filled(
        self, intent: Intent, outcome: str, values: Mapping[str, Any], otherwise: str
    ) -> str:
        reply = intent.replies.get(outcome)
        if reply is None:
            return self._general(otherwise)
        try:
            return reply.fill(values)
        except ReplyError:  # a tool that answers less than the file says of it
            return self._general(otherwise)

    def _general(self, name: str) -> str:
        assert self._sentences is not None, "load comes first"
        return self._sentences.replies[name].fill({})


def _text(message: Mapping[str, Any]) -> str:
    """The text of a message, whose content is a string or a list of parts."""
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    parts = (part.get("text") for part in content if isinstance(part, dict))
    return " ".join(text for text in parts if isinstance(text, str))


def _tool_name(tool: Mapping[str, Any]) -> str:
    return str(tool.get("name") or tool.get("function", {}).get("name", ""))


def _called_tool(messages: Sequence[Mapping[str, Any]]) -> str:
    """The name of the tool whose result is the last message."""
    call_id = messages[-1].get("tool_call_id")
    for message in reversed(messages):
        for call in message.get("tool_calls") or ():
            if call.get("id") == call_id:
                return str(call.get("function", {}).get("name", ""))
    return ""


def _result(text: str) -> dict[str, Any]:
    try:
        result = json.loads(text)
    except (ValueError, RecursionError):  # a client's own tool may answer anything
        result = None
    if isinstance(result, dict):
        return result
    return {"ok": False, "error": "failed"}
