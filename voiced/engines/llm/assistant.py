"""The assistant: answers by sentence templates, and calls tools as a language model would.

The last message decides. From a user: the sentence is recognised and becomes a tool call or a
text. From a tool: its result becomes the text of a reply. Nothing is kept between requests.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from voiced.assistant.choice import Offer
from voiced.assistant.files import assistant_files
from voiced.assistant.replies import ReplyError
from voiced.assistant.results import Unreadable, obvious_text, parse_result, succeeded
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
        self._intent: str | None = None

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

        A choice of tool is met by the call whose result is the last message: that is phrased. A
        cancel is noticed between messages, and between reading and answering; the answer itself
        takes milliseconds, whatever the last message is.
        """
        messages: Sequence[Mapping[str, Any]] = work.params.get("messages") or ()
        offer = Offer(work.params.get("tools") or (), work.params.get("tool_choice", "auto"))
        read = 0
        for message in messages:
            work.raise_if_cancelled()
            read += len(_text(message).split())
        work.raise_if_cancelled()
        messages = _without_asides(messages)
        self._intent = None
        if (only := work.params.get("only")) and self._declines(messages, offer, only):
            return {"finish": "stop", "declined": True}
        answer = self._answer(messages, offer)
        work.raise_if_cancelled()
        limit = work.params.get("max_output_tokens")
        finish = "stop"
        if isinstance(answer, dict):
            finish, written = "tool_calls", 1 + len(answer["arguments"].split())
            if limit is None or written <= limit:
                work.emit({"tool_call": answer})
            else:  # part of a call is none
                finish, written = "length", limit
        else:
            words = answer.split()
            if limit is not None and len(words) > limit:
                answer, finish = " ".join(words[:limit]), "length"
            if answer:
                work.emit({"text": answer})
            written = len(answer.split())
        return {
            "finish": finish,
            "input_tokens": read,
            "output_tokens": written,
            "intent": self._intent,
        }

    def _declines(self, messages: Sequence[Mapping[str, Any]], offer: Offer, only: str) -> bool:
        """Whether a language model should rather answer this. `only` is what may be answered here:
        "tools", what a tool is to do or has done on the assistant's own call; or "understood"."""
        role = messages[-1].get("role") if messages else None
        asked = _unanswered(messages)
        if role != "tool" and asked is None and not offer.must_call:
            return True
        words = _question(messages)
        meaning = self.understand(words)
        tool = "" if meaning is None else meaning.intent.tool
        if role == "tool":
            return only == "tools" and (not tool or tool != _called_tool(messages))
        if offer.must_call and not isinstance(offer.choice, str):
            return not tool or tool != offer.choice.get("name")
        if meaning is None:
            return offer.must_call or any(map(str.isalnum, words))
        if not tool:
            return only == "tools" or offer.must_call
        return offer.arguments(tool, meaning.slots) is None

    def _answer(self, messages: Sequence[Mapping[str, Any]], offer: Offer) -> str | dict[str, str]:
        """The text to say, or the tool call to make. Raises `ToolChoiceError`."""
        role = messages[-1].get("role") if messages else None
        if role == "tool":
            return self._to_tools(messages)
        if role == "system" and messages[-1].get("name") == "silence":
            return self._general("silence")
        if offer.must_call:
            return self._forced(messages, offer)
        asked = _unanswered(messages)
        if asked is not None:
            return self._to_user(messages[: asked + 1], offer)
        return self._general("ready")

    def _to_user(self, messages: Sequence[Mapping[str, Any]], offer: Offer) -> str | dict[str, str]:
        text = _text(messages[-1])
        if not any(character.isalnum() for character in text):
            self._intent = ""
            return self._general("not_heard")
        meaning = self.understand(text)
        self._intent = "" if meaning is None else meaning.intent.name
        if meaning is None:
            return self._general("not_understood")
        if meaning.intent.tool:
            arguments = offer.arguments(meaning.intent.tool, meaning.slots)
            if arguments is None:
                return self._general("not_offered")
            return _call(meaning.intent.tool, arguments)
        if meaning.intent.action == "repeat":
            said = (_text(m).strip() for m in reversed(messages) if m.get("role") == "assistant")
            last = next((text for text in said if text), "")
            if last:
                return last
        return self._filled(meaning.intent, "ok", meaning.slots) or self._general("done")

    def _forced(self, messages: Sequence[Mapping[str, Any]], offer: Offer) -> dict[str, str]:
        """The call that the request insists on, for what the user said last."""
        words = _question(messages)
        meaning = self.understand(words)
        tool = "" if meaning is None else meaning.intent.tool
        slots = {} if meaning is None else meaning.slots
        if isinstance(offer.choice, str):  # "required"
            arguments = offer.arguments(tool, slots)
            return _call(*offer.any_forced(words) if arguments is None else (tool, arguments))
        name = str(offer.choice.get("name", ""))
        return _call(name, offer.forced(name, slots if tool == name else None, words))

    def _to_tools(self, messages: Sequence[Mapping[str, Any]]) -> str:
        """The results at the end of the conversation, each once, in words."""
        said: list[str] = []
        for index in range(len(messages) - 1, -1, -1):
            if messages[index].get("role") != "tool":
                break
            reply = self._to_tool(messages[: index + 1])
            if reply not in said:
                said.insert(0, reply)
        return " ".join(said)

    def _to_tool(self, messages: Sequence[Mapping[str, Any]]) -> str:
        """The last message, a result, as the sentences file says it; else by what it holds."""
        try:
            result = parse_result(_text(messages[-1]))
        except Unreadable:
            return self._general("failed")
        ok = succeeded(result)
        meaning = self.understand(_question(messages))
        reply = ""
        if isinstance(result, dict) and meaning is not None:
            outcome = str(result.get("status") or "ok") if ok else str(result.get("error"))
            if ok and outcome not in meaning.intent.replies:
                outcome = "ok"
            if meaning.intent.tool == _called_tool(messages):
                reply = self._filled(meaning.intent, outcome, {**result, **meaning.slots})
        return reply or obvious_text(result) or self._general("done" if ok else "failed")

    def _filled(self, intent: Intent, outcome: str, values: Mapping[str, Any]) -> str:
        """The reply for that outcome; "" where the file has none, or it does not fit the values."""
        reply = intent.replies.get(outcome)
        try:
            return "" if reply is None else reply.fill(values)
        except ReplyError:  # a tool that answers less than the file says of it
            return ""

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


def _without_asides(messages: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """The same without what a program says behind what was said last, as the daemon does where it
    is hot and a language model should be brief: that is nobody's turn. A silence is one."""
    end = len(messages)
    while end and messages[end - 1].get("role") == "system":
        if messages[end - 1].get("name") == "silence":
            break
        end -= 1
    return messages[:end]


def _unanswered(messages: Sequence[Mapping[str, Any]]) -> int | None:
    """The place of the user's message that is to be answered now; None where all have been.

    Mostly the last message. But who types twice before the first answer has come, as some
    clients allow, finds that answer behind both: then the second one is still waiting.
    """
    roles = ["tool" if m.get("tool_calls") else m.get("role") for m in messages]
    while roles and roles[-1] == "tool":  # the round of calls that is under way
        roles.pop()
    answers = 0
    while roles and roles[-1] in {"assistant", "tool"}:
        answers += roles.pop() == "assistant"
    said = 0
    while said < len(roles) and roles[-1 - said] == "user":
        said += 1
    if said <= answers:
        return None
    return len(roles) - said + answers if answers else len(roles) - 1


def _question(messages: Sequence[Mapping[str, Any]]) -> str:
    """What the user asked: what is not answered yet, or else what was said last."""
    asked = _unanswered(messages)
    if asked is not None:
        return _text(messages[asked])
    return next((_text(m) for m in reversed(messages) if m.get("role") == "user"), "")


def _call(name: str, arguments: Mapping[str, Any]) -> dict[str, str]:
    return {
        "call_id": f"call_{os.urandom(8).hex()}",
        "name": name,
        "arguments": json.dumps(arguments),
    }


def _called_tool(messages: Sequence[Mapping[str, Any]]) -> str:
    """The name of the tool whose result is the last message."""
    call_id = messages[-1].get("tool_call_id")
    for message in reversed(messages):
        for call in message.get("tool_calls") or ():
            if call.get("id") == call_id:
                return str(call.get("function", {}).get("name", ""))
    return ""
