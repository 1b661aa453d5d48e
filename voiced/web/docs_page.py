"""`/docs`: the OpenAPI document as a page to read, in plain HTML that loads nothing."""

from __future__ import annotations

import json
import re
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

REFERENCE = "#/components/schemas/"

POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
"""What a browser may load for it: nothing; not even our own scripts, since there are none."""

STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 54rem; margin: 2rem auto; padding: 0 1rem; }
h2 { margin-top: 2.5rem; border-bottom: 1px solid #8886; }
h3 { margin-bottom: 0; }
code, pre { font-family: ui-monospace, monospace; font-size: .9em; }
pre { overflow-x: auto; padding: .75rem; background: #8882; border-radius: .25rem; }
.method { font-weight: bold; }
"""


def docs_page(document: Mapping[str, Any]) -> str:
    """The page for an OpenAPI `document`. Whatever is in it is text, never markup."""
    info = document["info"]
    title = escape(f"{info['title']} {info['version']}")
    body = "\n".join(body_of(document))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{title}</h1>\n<p>{escape(info['description'])}</p>\n{body}\n</body>\n</html>\n"
    )


def body_of(document: Mapping[str, Any]) -> Iterator[str]:
    """The operations by their tags, then the schemas that they name."""
    yield (
        '<p>For programs: <a href="/openapi.json">/openapi.json</a>, '
        '<a href="/asyncapi.json">/asyncapi.json</a>.</p>'
    )
    operations = [
        (operation["tags"][0], method, path, operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
    ]
    for tag in sorted({tag for tag, *_ in operations}):
        yield f"<h2>{escape(tag)}</h2>"
        for found, method, path, operation in operations:
            if found == tag:
                yield from operation_of(method, path, operation)
    yield "<h2>Schemas</h2>"
    for name, schema in document["components"]["schemas"].items():
        yield f'<details id="{escape(name)}"><summary><code>{escape(name)}</code></summary>'
        yield f"{json_of(schema)}</details>"


def operation_of(method: str, path: str, operation: Mapping[str, Any]) -> Iterator[str]:
    """One operation."""
    yield (
        f'<h3><span class="method">{escape(method.upper())}</span> '
        f"<code>{escape(path)}</code></h3>\n<p>{escape(operation['summary'])}.</p>"
    )
    if "description" in operation:
        yield prose(operation["description"])
    yield "<ul>"
    for media, body in operation.get("requestBody", {}).get("content", {}).items():
        yield f"<li>takes {body_words(media, body)}</li>"
    for status, answer in operation["responses"].items():
        if "content" in answer:
            bodies = ", ".join(body_words(*item) for item in answer["content"].items())
            yield f"<li>{escape(status)}: {inline(answer['description'])} {bodies}</li>"
    yield "</ul>"


def body_words(media: str, body: Mapping[str, Any]) -> str:
    """A body in few words, with a link to its schema."""
    found = re.search(f'"{REFERENCE}([^"]*)"', json.dumps(body))
    target = found[1] if found else ""
    words = f"<code>{escape(media)}</code>"
    return f'{words} <a href="#{escape(target)}">{escape(target)}</a>' if target else words


def prose(text: str) -> str:
    """A docstring as paragraphs."""
    return "\n".join(f"<p>{inline(paragraph)}</p>" for paragraph in text.split("\n\n"))


def inline(text: str) -> str:
    """Words in which what stands between backticks is code."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", escape(text))


def json_of(value: object) -> str:
    """JSON to read."""
    return f"<pre>{escape(json.dumps(value, indent=2, ensure_ascii=False))}</pre>"
