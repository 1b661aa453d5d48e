"""The fields of a transcription request, as the SDKs of OpenAI write them, and others."""

from __future__ import annotations

import pytest

from voiced.engines.ports import EngineInfo
from voiced.media.wire import DecodeJob
from voiced.settings import Stt
from voiced.web.refusal import Refused
from voiced.web.transcription_form import (
    ServerVadChunking,
    check_engine,
    choose_language,
    read_form,
)

Fields = list[tuple[str, str]]


def test_fields_are_read_as_both_sdks_write_them() -> None:
    form = read_form(
        [
            ("model", "whisper-1"),
            ("language", "en"),
            ("temperature", "0.2"),
            ("stream", "false"),
            ("response_format", "verbose_json"),
            ("timestamp_granularities[]", "word"),
            ("timestamp_granularities[]", "segment"),
            ("chunking_strategy[type]", "server_vad"),
            ("chunking_strategy[silence_duration_ms]", "700"),
            ("chunking_strategy[threshold]", "0.25"),
            ("keywords[]", "voiced"),
            ("keywords[]", "Trio"),
            ("prompt", "A talk."),
        ]
    )
    assert form.temperature == 0.2
    assert form.timestamp_granularities == ["word", "segment"]
    assert form.chunking_strategy == ServerVadChunking(silence_duration_ms=700, threshold=0.25)
    assert form.hint() == "A talk. voiced, Trio"
    job = form.job(DecodeJob(max_s=1))
    assert (job.silence_ms, job.threshold, job.prefix_ms) == (700, 0.25, 300)


def test_plain_form_has_the_defaults_of_the_api() -> None:
    form = read_form([("model", "m")])
    assert (form.response_format, form.stream, form.temperature) == ("json", False, 0.0)
    assert form.job(DecodeJob(max_s=1)) == DecodeJob(max_s=1)


def test_lists_without_brackets_objects_as_json_and_unknown_fields_are_taken() -> None:
    form = read_form(
        [
            ("response_format", "verbose_json"),
            ("timestamp_granularities", "word"),
            ("chunking_strategy", '{"type":"server_vad","prefix_padding_ms":100}'),
            ("language", ""),
            ("from_the_future", "1"),
            ("also[new]", "1"),
        ]
    )
    assert form.timestamp_granularities == ["word"]
    assert form.chunking_strategy == ServerVadChunking(prefix_padding_ms=100)
    assert form.language is None


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ([("response_format", "diarized_json")], "response_format"),
        ([("response_format", "xml")], "response_format"),
        ([("temperature", "2")], "temperature"),
        ([("temperature", "warm")], "temperature"),
        ([("stream", "perhaps")], "stream"),
        ([("stream", "true"), ("response_format", "srt")], "stream"),
        ([("timestamp_granularities[]", "word")], "timestamp_granularities"),
        (
            [("response_format", "verbose_json"), ("timestamp_granularities[]", "letter")],
            "timestamp_granularities",
        ),
        ([("include[]", "logprobs")], "include"),
        ([("known_speaker_names[]", "Ann")], "known_speaker_names"),
        ([("chunking_strategy", "never")], "chunking_strategy"),
        ([("chunking_strategy", "{")], "chunking_strategy"),
        ([("chunking_strategy[type]", "other")], "chunking_strategy.type"),
        (
            [("chunking_strategy[type]", "server_vad"), ("chunking_strategy[threshold]", "7")],
            "chunking_strategy.threshold",
        ),
        ([("chunking_strategy", "auto"), ("chunking_strategy[type]", "x")], "chunking_strategy"),
        ([("model[name]", "m")], "model"),
    ],
)
def test_what_cannot_be_is_refused_by_its_name(fields: Fields, param: str) -> None:
    with pytest.raises(Refused) as caught:
        read_form(fields)
    refusal = caught.value.refusal
    assert refusal.status == 400
    assert refusal.param is not None
    assert refusal.param.partition("[")[0] == param
    assert refusal.code


INFO = EngineInfo(kind="stt", name="x", version="1", languages=("en", "de"))


def test_language_is_one_that_the_engine_knows() -> None:
    settings = Stt(language="de")
    assert choose_language(read_form([]), INFO, settings) == "de"
    assert choose_language(read_form([("language", "en-GB")]), INFO, settings) == "en-GB"
    several: Fields = [("languages[]", "fr"), ("languages[]", "en")]
    assert choose_language(read_form(several), INFO, settings) == "en"
    for fields in ([("language", "fr")], [("languages[]", "fr")]):
        with pytest.raises(Refused) as caught:
            choose_language(read_form(fields), INFO, settings)
        assert caught.value.refusal.param == fields[0][0].removesuffix("[]")


def test_words_need_an_engine_that_times_them() -> None:
    form = read_form([("response_format", "verbose_json"), ("timestamp_granularities[]", "word")])
    with pytest.raises(Refused):
        check_engine(form, INFO)
    able = EngineInfo(kind="stt", name="x", version="1", capabilities=("word_times",))
    check_engine(form, able)
