"""What `/v1/audio/transcriptions` takes: the form of the OpenAI API, checked. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct, field

from voiced.conversation.config import rejected_by
from voiced.engines.languages import known_languages, understands
from voiced.engines.ports import WORD_TIMES
from voiced.web.openapi import UPLOAD
from voiced.web.refusal import Refusal, Refused

if TYPE_CHECKING:
    from collections.abc import Iterable

    from voiced.engines.ports import EngineInfo
    from voiced.media.wire import DecodeJob
    from voiced.settings import Stt

ResponseFormat = Literal["json", "text", "srt", "verbose_json", "vtt", "diarized_json"]
Granularity = Literal["word", "segment"]


class ServerVadChunking(Struct, tag_field="type", tag="server_vad", frozen=True):
    """Cut the recording at silences as told; what is left out is as in the settings."""

    prefix_padding_ms: Annotated[int, Meta(ge=0, le=5000)] | None = None
    silence_duration_ms: Annotated[int, Meta(ge=50, le=10_000)] | None = None
    threshold: Annotated[float, Meta(ge=0, le=1)] | None = None


class TranscriptionForm(Struct, frozen=True, kw_only=True):
    """A recording to transcribe, and how. Fields that are not listed here are ignored."""

    file: Annotated[bytes, UPLOAD]
    model: str = ""
    language: str | None = None
    languages: list[str] = field(default_factory=list, name="languages[]")
    keywords: list[str] = field(default_factory=list, name="keywords[]")
    prompt: str = ""
    response_format: ResponseFormat = "json"
    temperature: Annotated[float, Meta(ge=0, le=1)] = 0.0
    timestamp_granularities: list[Granularity] = field(
        default_factory=list, name="timestamp_granularities[]"
    )
    include: list[Literal["logprobs"]] = field(default_factory=list, name="include[]")
    stream: bool = False
    chunking_strategy: Literal["auto"] | ServerVadChunking = "auto"
    known_speaker_names: list[str] = field(default_factory=list, name="known_speaker_names[]")
    known_speaker_references: list[str] = field(
        default_factory=list, name="known_speaker_references[]"
    )

    def job(self, standard: DecodeJob) -> DecodeJob:
        """How the recording is to be cut."""
        chunking = self.chunking_strategy
        if not isinstance(chunking, ServerVadChunking):
            return standard
        told = {
            "prefix_ms": chunking.prefix_padding_ms,
            "silence_ms": chunking.silence_duration_ms,
            "threshold": chunking.threshold,
        }
        told = {name: value for name, value in told.items() if value is not None}
        return msgspec.structs.replace(standard, **told)

    @property
    def wants_word_times(self) -> bool:
        """Whether the answer needs them, if only to tell sentences apart."""
        return "word" in self.timestamp_granularities or self.response_format in ("srt", "vtt")

    def hint(self) -> str:
        """What the engine is told to expect."""
        return " ".join(part for part in (self.prompt, ", ".join(self.keywords)) if part)


_LISTS = {
    name.removesuffix("[]"): name
    for name in TranscriptionForm.__struct_encode_fields__
    if name.endswith("[]")
}


def read_form(fields: Iterable[tuple[str, str]]) -> TranscriptionForm:
    """The form of these fields, its file left empty. Raises `Refused` that names a bad one.

    Lists come as repeated `name[]` or `name`, objects as `name[key]` or as JSON; an empty value
    is as good as none. What no engine here can do is refused.
    """
    try:
        form = msgspec.convert({**_collect(fields), "file": b""}, TranscriptionForm, strict=False)
    except msgspec.ValidationError as exc:
        why = rejected_by(str(exc).replace("[]", ""), "")
        raise bad(why.param, why.message, why.code or "invalid_value") from exc
    _check(form)
    return form


def bad(param: str | None, message: str, code: str = "invalid_value") -> Refused:
    """The refusal of the field `param`."""
    return Refused(Refusal(400, code, message, param=param or None))


def choose_language(form: TranscriptionForm, info: EngineInfo, settings: Stt) -> str:
    """The first language asked for that the engine understands. Raises `Refused` for none."""
    asked = [form.language] if form.language else form.languages
    if not asked:
        return settings.language
    for language in asked:
        if understands(info, language):
            return language
    message = f"The engine {info.name} understands {', '.join(known_languages(info))} only."
    raise bad("language" if form.language else "languages", message)


def check_engine(form: TranscriptionForm, info: EngineInfo) -> None:
    """Raise `Refused` for what this engine cannot do."""
    if "word" in form.timestamp_granularities and WORD_TIMES not in info.capabilities:
        message = f"The engine {info.name} does not tell when words were said; ask for segments."
        raise bad("timestamp_granularities", message, "unsupported_value")


def _collect(fields: Iterable[tuple[str, str]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in fields:
        base, bracket, rest = name.partition("[")
        if not value or base == "file":
            continue
        if base in _LISTS and rest in ("", "]"):
            found.setdefault(_LISTS[base], []).append(value)
        elif bracket and rest.endswith("]") and len(rest) > 1:
            inner = found.setdefault(base, {})
            if not isinstance(inner, dict):
                raise bad(base, f"Invalid value for '{base}': given twice, in two ways.")
            inner[rest[:-1]] = value
        elif value.startswith("{"):
            try:
                found[name] = msgspec.json.decode(value)
            except (msgspec.DecodeError, RecursionError):
                raise bad(name, f"Invalid value for '{name}': it is not valid JSON.") from None
        else:
            found[name] = value
    return found


def _check(form: TranscriptionForm) -> None:
    if form.response_format == "diarized_json":
        message = "No engine here tells speakers apart, so diarized_json is not supported."
        raise bad("response_format", message, "unsupported_value")
    if form.known_speaker_names or form.known_speaker_references:
        message = "No engine here tells speakers apart."
        raise bad("known_speaker_names", message, "unsupported_value")
    if form.include:
        message = "No engine here gives probabilities of tokens."
        raise bad("include", message, "unsupported_value")
    if form.timestamp_granularities and form.response_format != "verbose_json":
        message = "timestamp_granularities needs response_format=verbose_json."
        raise bad("timestamp_granularities", message)
    if form.stream and form.response_format not in ("json", "text"):
        message = "With stream=true the response_format can be json only."
        raise bad("stream", message)
