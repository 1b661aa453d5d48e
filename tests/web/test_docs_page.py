"""`/docs`: everything there is, and nothing that a browser would have to fetch."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.web.harness import ask, get, make_app, running, status_of
from voiced.realtime.asyncapi import encoded_parts
from voiced.web.docs_page import docs_page, prose
from voiced.web.openapi import describe

if TYPE_CHECKING:
    import pytest


async def test_the_page_names_every_operation_and_loads_nothing() -> None:
    app = make_app()
    async with running(app=app) as (_, port):
        response = await ask(port, get("/docs"))
    assert status_of(response) == 200
    head, _, body = response.partition(b"\r\n\r\n")
    assert b"default-src 'none'" in head
    page = body.decode()
    for path, item in describe(app)["paths"].items():
        assert f"<code>{path}</code>" in page
        for operation in item.values():
            assert operation["summary"] in page
    assert not re.search(r"<(script|img|link|iframe|object)|url\(|@import|\son\w+=", page)
    # Links lead to other pages of the daemon, and to schemas that are on this one.
    targets = set(re.findall(r'(?:href|src)="([^"]*)"', page))
    assert "#ChatRequest" in targets
    assert targets - {"/openapi.json", "/asyncapi.json"} == {
        target for target in targets if target.startswith("#") and f'id="{target[1:]}"' in page
    }


def test_what_a_description_says_is_text() -> None:
    document = {
        "info": {"title": "<b>", "version": "1", "description": "a < b"},
        "paths": {
            "/<script>": {
                "get": {"tags": ["<i>"], "summary": "<u>", "responses": {}, "description": '"&'}
            }
        },
        "components": {"schemas": {'"><script>': {"description": "</pre>"}}},
    }
    page = docs_page(document)
    for markup in ("<script>", "<b>", "<i>", "<u>", "a < b", '"&<', "</pre>\\"):
        assert markup not in page


def test_a_description_has_paragraphs_and_code() -> None:
    assert prose("With `a<b` text.\n\nMore, at 5` here.") == (
        "<p>With <code>a&lt;b</code> text.</p>\n<p>More, at 5` here.</p>"
    )


async def test_nothing_of_the_documents_is_made_while_people_talk(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def late(*args: object, **kwargs: object) -> None:
        raise AssertionError("this takes a tenth of a second, in which no audio moves")

    encoded_parts.cache_clear()
    app = make_app()
    for where, what in (
        ("voiced.web.routes.documents", "describe"),
        ("voiced.web.routes.documents", "docs_page"),
        ("voiced.realtime.asyncapi", "describe_realtime"),
    ):
        monkeypatch.setattr(f"{where}.{what}", late)
    async with running(app=app) as (_, port):
        for path in ("/openapi.json", "/asyncapi.json", "/docs"):
            assert status_of(await ask(port, get(path))) == 200
