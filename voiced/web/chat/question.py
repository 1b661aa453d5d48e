"""From a chat completion request to the question for the model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from voiced.conversation.config import Rejected, check_depth
from voiced.tools.rounds import Question
from voiced.web.chat.wire import AssistantMessage, ChatRequest, DeveloperMessage, ToolMessage
from voiced.web.refusal import Refusal, Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voiced.engines.ports import ToolChoice
    from voiced.tools.toolbox import Toolbox
    from voiced.web.chat.wire import AskedCall, Content, Message, ToolDefinition


def question_of(request: ChatRequest, toolbox: Toolbox) -> Question:
    """What to ask the model. Raises `Refused` for a tool choice that names nothing on offer."""
    tools = tuple(tool_of(index, tool) for index, tool in enumerate(request.tools or ()))
    parallel = request.parallel_tool_calls
    limits = [request.max_completion_tokens, request.max_tokens]
    return Question(
        messages=tuple(message_of(message) for message in request.messages),
        tools=tools,
        tool_choice=choice_of(request, toolbox),
        max_output_tokens=next((limit for limit in limits if limit is not None), None),
        parallel_tool_calls=parallel is None or parallel,
    )


def stops_of(request: ChatRequest) -> tuple[str, ...]:
    """The stop sequences."""
    if request.stop is None:
        return ()
    return (request.stop,) if isinstance(request.stop, str) else request.stop


def message_of(message: Message) -> Mapping[str, Any]:
    """A message in the chat shape that engines read: text as one string, no `developer`."""
    if isinstance(message, AssistantMessage):
        said: dict[str, Any] = {"role": "assistant", "content": text_of(message.content)}
        if message.tool_calls:
            said["tool_calls"] = [call_of(call) for call in message.tool_calls]
        return said
    if isinstance(message, ToolMessage):
        return {
            "role": "tool",
            "tool_call_id": message.tool_call_id,
            "content": text_of(message.content),
        }
    role = message.__struct_config__.tag
    if isinstance(message, DeveloperMessage):
        role = "system"
    return {"role": role, "content": text_of(message.content)}


def text_of(content: Content | None) -> str | None:
    """The text of a message; parts follow each other without anything between, as with OpenAI."""
    if content is None or isinstance(content, str):
        return content
    return "".join(part.text for part in content)


def call_of(call: AskedCall) -> Mapping[str, Any]:
    """A call of an earlier answer."""
    function = {"name": call.function.name, "arguments": call.function.arguments}
    return {"id": call.id, "type": "function", "function": function}


def tool_of(index: int, tool: ToolDefinition) -> Mapping[str, Any]:
    """A tool as engines read it. Raises `Refused` for a schema that nests too deeply."""
    function = tool.function
    parameters = {"type": "object", "properties": {}}
    if function.parameters is not None:
        parameters = function.parameters
        try:
            check_depth(parameters, f"tools[{index}].function.parameters")
        except Rejected as exc:
            raise Refused(Refusal(400, exc.code, exc.message, param=exc.param)) from exc
    return {
        "name": function.name,
        "description": function.description or "",
        "parameters": parameters,
    }


def choice_of(request: ChatRequest, toolbox: Toolbox) -> ToolChoice:
    """The choice of tool: of the client's, or else of the daemon's."""
    choice = request.tool_choice
    if choice is None:
        return "auto"
    if isinstance(choice, str):
        return choice
    name = choice.function.name
    offered = {tool.function.name for tool in request.tools or ()} or set(toolbox.names)
    if name not in offered:
        raise Refused(
            Refusal(
                400,
                "invalid_value",
                f"The tool '{name}' that must be called is not among the tools.",
                param="tool_choice.function.name",
            )
        )
    return {"name": name}
