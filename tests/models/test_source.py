"""What a person may write where a model comes from."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiced.errors import UsageError
from voiced.models.manifest import MANIFEST, is_safe_name, is_safe_path
from voiced.models.source import HubSource, LocalSource, WebSource, parse_source

HUB = "https://huggingface.co"


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("model.gguf", LocalSource(Path("model.gguf"))),
        ("/a:b/c", LocalSource(Path("/a:b/c"))),
        ("https://a.example/m.gguf", WebSource("https://a.example/m.gguf")),
        ("http://127.0.0.1:9/m.gguf", WebSource("http://127.0.0.1:9/m.gguf")),
        ("http://[::1]/m.gguf", WebSource("http://[::1]/m.gguf")),
        ("hf:o/r", HubSource(HUB, "o/r", "main")),
        ("HF:o/r@v1.0", HubSource(HUB, "o/r", "v1.0")),
        ("hf:o/r/a/b.gguf", HubSource(HUB, "o/r", "main", "a/b.gguf")),
        ("hf:o/r@abc123/b.gguf", HubSource(HUB, "o/r", "abc123", "b.gguf")),
    ],
)
def test_what_is_understood(text: str, parsed: object) -> None:
    assert parse_source(text, {}) == parsed


@pytest.mark.parametrize(
    "text",
    [
        "",
        "http://a.example/m.gguf",
        "ftp://a.example/m.gguf",
        "https://a.example/",
        "https://user:word@a.example/m.gguf",
        "https:///m.gguf",
        "https://[/m.gguf",
        "hf:",
        "hf:o",
        "hf:o/",
        "hf:../r",
        "hf:o/r@",
        "hf:o/r@../x",
        "hf:o/r/../../x.gguf",
        "hf:o/r//x.gguf",
        "hf:o/r/.git",
    ],
)
def test_what_is_not(text: str) -> None:
    with pytest.raises(UsageError):
        parse_source(text, {})


def test_a_mirror_of_the_hub_is_asked_in_its_place() -> None:
    source = parse_source("hf:o/r/f.gguf", {"HF_ENDPOINT": "https://mirror.example/"})
    assert isinstance(source, HubSource)
    assert source.api == "https://mirror.example/api/models/o/r/revision/main?blobs=true"
    assert source.url("a b.gguf", "c") == "https://mirror.example/o/r/resolve/c/a%20b.gguf"
    with pytest.raises(UsageError, match="models come by https"):
        parse_source("hf:o/r", {"HF_ENDPOINT": "http://mirror.example"})


@given(st.text() | st.text("./\\ab\0\n"))
def test_no_path_leads_out_of_a_model(path: str) -> None:
    """Whatever is accepted lies below the directory, as the file system sees it too."""
    if is_safe_path(path):
        below = Path("/models/name")
        assert (below / path).resolve().is_relative_to(below)
        assert (below / path).resolve() != below
        assert path != MANIFEST
    if is_safe_name(path):
        assert (Path("/models") / path).resolve().parent == Path("/models")
