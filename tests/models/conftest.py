"""A server of files, and a directory for models that is not there yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.models.file_server import FileServer, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serving() as files:
        yield files


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "models"
