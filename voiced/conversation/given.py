"""Items as clients give them, to keep in the conversation or as the context of one response."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import UNSET, Meta, Struct, structs

from voiced.conversation.config import Rejected
from voiced.conversation.items import (
    Entry,
    FunctionCall,
    FunctionCallOutput,
    InputAudio,
    InputText,
    Item,
    ItemStatus,
    Message,
    OutputAudio,
    OutputText,
    Part,
    is_call,
)
from voiced.conversation.tooling import FunctionName

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from voiced.conversation.state import State

MOST_TEXT = 32_768
"""Characters in all texts of an item together: far beyond what is said in one turn, and a bound
on what a full history takes."""

ItemId = Annotated[str, Meta(min_length=1, max_length=512)]
CallId = Annotated[str, Meta(pattern=r"^[a-zA-Z0-9_-]+$", max_length=128)]


class InputImage(Struct, frozen=True, tag="input_image"):
    """A picture. Understood in order to be refused plainly: no engine can see."""


class NewItem(Struct, frozen=True, kw_only=True, tag_field="type", forbid_unknown_fields=True):
    """What any item from a client may say; `status` and `object` are accepted and not believed."""

    id: ItemId | None = None
    status: ItemStatus | None = None
    object: Literal["realtime.item"] | None = None


class NewMessage(NewItem, frozen=True, kw_only=True, tag="message"):
    """A message: text of a user, of the system, or of the assistant."""

    role: Literal["user", "assistant", "system"]
    content: tuple[Part | InputImage, ...]


class NewCall(NewItem, frozen=True, kw_only=True, tag="function_call"):
    """A function call that was made elsewhere; `arguments` is JSON text."""

    name: FunctionName
    arguments: Annotated[str, Meta(max_length=MOST_TEXT)]
    call_id: CallId | None = None


class NewOutput(NewItem, frozen=True, kw_only=True, tag="function_call_output"):
    """What a function call came to, as any text. By itself it starts no response."""

    call_id: CallId
    output: Annotated[str, Meta(max_length=MOST_TEXT)]


AnyNewItem = NewMessage | NewCall | NewOutput


def entry_of(
    state: State,
    new: AnyNewItem,
    item_id: str,
    where: str,
    *,
    call_id: str = "",
    beside: Iterable[Entry] = (),
) -> Entry:
    """The item as the conversation holds it; raise `Rejected`, naming fields below `where`.

    `call_id` is for a call that has none. `beside` are entries that an output may answer as well
    as those of the conversation.
    """
    match new:
        case NewMessage():
            content = checked_content(new, where)
            return Entry(
                item=Message(id=item_id, role=new.role, status="completed", content=content)
            )
        case NewCall():
            return Entry(
                item=FunctionCall(
                    id=item_id,
                    status="completed",
                    name=new.name,
                    call_id=new.call_id or call_id,
                    arguments=new.arguments,
                )
            )
        case NewOutput():
            return answer_of(state, new, item_id, beside)


def given_audio(new: AnyNewItem) -> bytes | None:
    """The audio of a message that has some."""
    for part in new.content if isinstance(new, NewMessage) else ():
        if isinstance(part, InputAudio) and part.audio is not UNSET:
            return part.audio
    return None


def transcripts(item: Item) -> Iterator[str]:
    """The words that came with what is spoken in an item."""
    for part in item.content if isinstance(item, Message) else ():
        if isinstance(part, InputAudio) and part.transcript is not None:
            yield part.transcript


ALLOWED: dict[str, tuple[type[Part], ...]] = {
    "user": (InputText, InputAudio),
    "system": (InputText,),
    "assistant": (OutputText,),
}


def checked_content(new: NewMessage, where: str) -> tuple[Part, ...]:
    """The content of a message, as its role can have it, with the audio taken out."""
    allowed = ALLOWED[new.role]
    length = 0
    content: list[Part] = []
    for index, part in enumerate(new.content):
        if isinstance(part, InputImage):
            raise Rejected(
                "unsupported_content_type",
                "Content of type 'input_image' is not supported: no engine here can see.",
                param=f"{where}.content[{index}].type",
            )
        if new.role == "assistant" and isinstance(part, OutputAudio):
            raise Rejected(
                "missing_required_parameter",
                f"Missing required parameter: '{where}.content[{index}].text'. What an assistant "
                "is said to have said is text.",
                param=f"{where}.content[{index}].text",
            )
        if not isinstance(part, allowed):
            names = " or ".join(f"'{kind.__struct_config__.tag}'" for kind in allowed)
            raise Rejected(
                "invalid_value",
                f"A {new.role} item takes {names} content here.",
                param=f"{where}.content[{index}].type",
            )
        if isinstance(part, InputAudio):
            check_audio(part, content, f"{where}.content[{index}]")
            part = structs.replace(part, audio=UNSET)
        length += len(words_of(part))
        if length > MOST_TEXT:
            raise Rejected(
                "string_above_max_length",
                f"The texts of an item may have at most {MOST_TEXT} characters together.",
                param=f"{where}.content[{index}].text",
            )
        content.append(part)
    return tuple(content)


def check_audio(part: InputAudio, before: list[Part], where: str) -> None:
    """Raise `Rejected` for speech without sound and words, or beside other speech."""
    if part.audio is UNSET and part.transcript is None:
        raise Rejected(
            "missing_required_parameter",
            f"Missing required parameter: '{where}.audio'.",
            param=f"{where}.audio",
        )
    if part.audio == b"":
        raise Rejected("invalid_value", "There is no audio in it.", param=f"{where}.audio")
    if any(isinstance(other, InputAudio) for other in before):
        raise Rejected(
            "invalid_value", "An item takes one 'input_audio' part.", param=f"{where}.type"
        )


def words_of(part: Part) -> str:
    """The text of a content part of any kind, as far as there is some."""
    if isinstance(part, InputText | OutputText):
        return part.text
    return part.transcript or ""


def answer_of(state: State, new: NewOutput, item_id: str, beside: Iterable[Entry]) -> Entry:
    """The output of a call that was made: in the conversation, or in a response beside it."""
    item = FunctionCallOutput(
        id=item_id, status="completed", call_id=new.call_id, output=new.output
    )
    if any(is_call(entry.item, new.call_id) for entry in beside):
        return Entry(item=item)
    answers = state.call(new.call_id)
    if answers is None:
        raise Rejected(
            "invalid_tool_call_id", f"Tool call ID '{new.call_id}' not found in conversation."
        )
    return Entry(item=item, answers=answers)
