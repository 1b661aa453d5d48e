"""What a program does that was written for OpenAI's chat completions; a process of its own.

Its one argument is the base URL. Prints what it was answered, as JSON.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from openai import BadRequestError, NotFoundError, OpenAI

LAMP = {
    "type": "function",
    "function": {
        "name": "set_light",
        "description": "Switch a light.",
        "parameters": {
            "type": "object",
            "properties": {"light": {"type": "string"}, "state": {"type": "string"}},
        },
    },
}


def main() -> None:
    # Any: the types of dicts that hold requests are too narrow for what a program writes down.
    client: Any = OpenAI(base_url=sys.argv[1], api_key="not needed here", max_retries=0)
    time: list[Any] = [{"role": "user", "content": "what time is it"}]
    lamp: list[Any] = [{"role": "user", "content": "turn on the living room lamp"}]

    whole = client.chat.completions.create(model="gpt-5", messages=time)

    streamed = client.chat.completions.create(
        model="gpt-5", messages=time, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(streamed)

    called = client.chat.completions.create(model="gpt-5", messages=lamp, tools=[LAMP])
    (call,) = called.choices[0].message.tool_calls
    told = [
        *lamp,
        called.choices[0].message,
        {"role": "tool", "tool_call_id": call.id, "content": '{"ok": true, "status": "on"}'},
    ]
    after = client.chat.completions.create(model="gpt-5", messages=told, tools=[LAMP])

    helped = ""
    with client.chat.completions.stream(model="gpt-5", messages=lamp, tools=[LAMP]) as events:
        for event in events:
            if event.type == "tool_calls.function.arguments.done":
                helped = event.arguments
    try:
        picture = {"type": "image_url", "image_url": {"url": "data:,"}}
        client.chat.completions.create(
            model="gpt-5", messages=[{"role": "user", "content": [picture]}]
        )
    except BadRequestError as error:
        refused = error.param
    try:
        client.models.retrieve("gpt-5")
    except NotFoundError as error:
        missing = error.code

    json.dump(
        {
            "whole": whole.choices[0].message.content,
            "finish": whole.choices[0].finish_reason,
            "streamed": "".join(c.choices[0].delta.content or "" for c in chunks if c.choices),
            "usage": chunks[-1].usage.total_tokens,
            "called": [call.function.name, json.loads(call.function.arguments)],
            "called_finish": called.choices[0].finish_reason,
            "after": after.choices[0].message.content,
            "helped": json.loads(helped),
            "refused": refused,
            "models": [model.id for model in client.models.list()],
            "missing": missing,
        },
        sys.stdout,
    )


if __name__ == "__main__":
    main()
