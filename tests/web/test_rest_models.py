"""`/v1/models`: what is loaded, and what is not."""

from __future__ import annotations

import json
from typing import Any

from tests.realtime.fakes import FakeTts
from tests.web.harness import ask, error_of, get, make_app, running, status_of
from voiced.engines.ports import EngineInfo
from voiced.errors import EngineUnavailable


def body_of(response: bytes) -> Any:  # noqa: ANN401  # whatever JSON holds
    return json.loads(response.partition(b"\r\n\r\n")[2])


class SpeakingTts(FakeTts):
    info = EngineInfo(
        kind="tts", name="espeak", version="1.52", model="eSpeak NG", voices=("en-us", "de")
    )


class DownTts(FakeTts):
    @property
    def info(self) -> EngineInfo:  # type: ignore[override]  # as EngineTts has it
        raise EngineUnavailable("speech synthesis is not ready yet")


async def test_the_engines_that_are_loaded_are_listed_with_the_name_of_the_whole() -> None:
    async with running(app=make_app(tts=SpeakingTts(), began=1234)) as (_, port):
        listed = body_of(await ask(port, get("/v1/models")))
    assert listed["object"] == "list"
    # Both fakes bear one name; a name must lead to one model.
    assert [model["id"] for model in listed["data"]] == ["voiced", "fake", "stt.fake", "espeak"]
    assert all(
        (model["object"], model["created"], model["owned_by"]) == ("model", 1234, "voiced")
        for model in listed["data"]
    )
    assert listed["data"][3]["engine"] == {
        "kind": "tts",
        "version": "1.52",
        "model": "eSpeak NG",
    }


async def test_an_engine_that_is_down_is_no_error() -> None:
    async with running(app=make_app(tts=DownTts())) as (_, port):
        listed = body_of(await ask(port, get("/v1/models")))
    assert [model["id"] for model in listed["data"]] == ["voiced", "fake", "stt.fake"]


async def test_one_model_and_none() -> None:
    async with running(app=make_app(tts=SpeakingTts())) as (_, port):
        assert body_of(await ask(port, get("/v1/models/espeak")))["engine"]["kind"] == "tts"
        missing = await ask(port, get("/v1/models/gpt/9"))
    assert status_of(missing) == 404
    error = error_of(missing)
    assert (error["code"], error["param"], error["type"]) == (
        "model_not_found",
        "model",
        "invalid_request_error",
    )
    assert "gpt/9" in error["message"]
