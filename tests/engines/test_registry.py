"""Engines are found by name, and a wrong name says what there is."""

from __future__ import annotations

import tomllib
from importlib import import_module
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from voiced.engines.registry import GROUP, find_targets, resolve
from voiced.errors import SettingsError

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


def entry(name: str, value: str) -> EntryPoint:
    return EntryPoint(name=name, value=value, group=GROUP)


INSTALLED = [entry("tts.espeak", "a:A"), entry("tts.stub", "b:B"), entry("stt.phrases", "c:C")]


def test_an_engine_is_found_with_its_options() -> None:
    spec = resolve("tts", "espeak", {"voice": "de"}, found=INSTALLED)
    assert (spec.kind, spec.name, spec.target) == ("tts", "espeak", "a:A")
    assert spec.options == {"voice": "de"}


def test_an_unknown_name_says_what_is_allowed() -> None:
    with pytest.raises(SettingsError, match="'phrases'; allowed: espeak, stub"):
        resolve("tts", "phrases", {}, found=INSTALLED)


def test_two_packages_cannot_claim_one_name() -> None:
    with pytest.raises(SettingsError, match="claimed twice"):
        find_targets([*INSTALLED, entry("tts.stub", "other:B")])


def test_one_package_seen_twice_is_one_package() -> None:
    assert find_targets([*INSTALLED, *INSTALLED])["tts.stub"] == "b:B"


@pytest.mark.parametrize("name", ["tts.espeak", "stt.stub", "llm.stub", "tts.stub"])
def test_the_engines_declared_by_voiced_itself_exist(name: str) -> None:
    declared = tomllib.loads(PYPROJECT.read_text())["project"]["entry-points"][GROUP]
    module, _, attribute = declared[name].partition(":")
    assert hasattr(getattr(import_module(module), attribute), "run")
