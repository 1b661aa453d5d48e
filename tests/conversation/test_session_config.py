"""`session.update`: merged whole or not at all, and errors that name the field."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.conversation.talk import Talk, audio
from voiced.conversation import inputs as inp
from voiced.conversation.config import Audio, AudioIn, Rejected, SessionConfig
from voiced.conversation.config import update_config as update
from voiced.conversation.detection import Detections, SemanticVad, ServerVad, TurnDetection
from voiced.conversation.effects import Configure
from voiced.conversation.tooling import FunctionTool

CONFIG = SessionConfig(id="sess_1", model="voiced", expires_at=3_600)


def patch(**fields: object) -> dict[str, Any]:
    return {"type": "realtime", **fields}


def detection(value: object) -> dict[str, Any]:
    return patch(audio={"input": {"turn_detection": value}})


def changed(config: SessionConfig, fields: dict[str, Any]) -> SessionConfig:
    return update(config, fields, voice_fixed=False)


def test_an_update_changes_what_it_names_and_nothing_else() -> None:
    before = msgspec.to_builtins(CONFIG)
    after = msgspec.to_builtins(changed(CONFIG, patch(instructions="Be brief.")))
    assert after == {**before, "instructions": "Be brief."}
    assert list(after) == list(before)


def test_objects_merge_by_key_and_arrays_are_replaced() -> None:
    first = {"type": "function", "name": "a"}
    config = changed(CONFIG, patch(tools=[first], audio={"output": {"speed": 1.25}}))
    config = changed(
        config,
        patch(tools=[{"type": "function", "name": "b"}], audio={"output": {"voice": "de"}}),
    )
    assert config.tools == (FunctionTool(name="b"),)
    assert (config.audio.output.voice, config.audio.output.speed) == ("de", 1.25)
    assert config.audio.input == CONFIG.audio.input
    assert changed(config, patch(tools=[])).tools == ()


def test_turn_detection_keeps_what_is_not_named() -> None:
    config = changed(CONFIG, detection({"type": "server_vad", "silence_duration_ms": 400}))
    config = changed(config, detection({"type": "server_vad", "threshold": 0.7}))
    assert config.audio.input.turn_detection == ServerVad(silence_duration_ms=400, threshold=0.7)
    # All keys are echoed: without interrupt_response agents clients cancel by themselves.
    echo = msgspec.to_builtins(config)["audio"]["input"]["turn_detection"]
    assert set(echo) == {
        "type",
        "threshold",
        "prefix_padding_ms",
        "silence_duration_ms",
        "idle_timeout_ms",
        "create_response",
        "interrupt_response",
    }


def test_null_turns_detection_off_and_on_again_it_has_the_daemons_defaults() -> None:
    own = ServerVad(silence_duration_ms=700)
    config = msgspec.structs.replace(CONFIG, audio=Audio(input=AudioIn(turn_detection=own)))
    off = changed(config, detection(None))
    assert off.audio.input.turn_detection is None
    on = update(
        off,
        detection({"type": "server_vad", "threshold": 0.6}),
        voice_fixed=False,
        detections=Detections(server=own),
    )
    assert on.audio.input.turn_detection == ServerVad(silence_duration_ms=700, threshold=0.6)


def test_a_session_remembers_the_daemons_turn_detection() -> None:
    own = ServerVad(silence_duration_ms=700)
    talk = Talk(detection=own)
    talk.take(inp.UpdateSession(session=detection(None)))
    talk.take(inp.UpdateSession(session=detection({"type": "server_vad"})))
    shown = talk.one("session.updated")["session"]["audio"]["input"]["turn_detection"]
    assert shown["silence_duration_ms"] == 700


def test_15_semantic_vad_is_echoed_whole() -> None:
    config = changed(CONFIG, detection({"type": "semantic_vad"}))
    assert msgspec.to_builtins(config)["audio"]["input"]["turn_detection"] == {
        "type": "semantic_vad",
        "eagerness": "auto",
        "create_response": True,
        "interrupt_response": True,
    }


def test_another_type_begins_with_the_daemons_own_of_that_type() -> None:
    own = Detections(server=ServerVad(threshold=0.7), semantic=SemanticVad(eagerness="low"))

    def taken(config: SessionConfig, value: object) -> TurnDetection | None:
        changed = update(config, detection(value), voice_fixed=False, detections=own)
        return changed.audio.input.turn_detection

    config = changed(CONFIG, detection({"type": "server_vad", "silence_duration_ms": 900}))
    semantic = {"type": "semantic_vad", "interrupt_response": False}
    assert taken(config, semantic) == SemanticVad(eagerness="low", interrupt_response=False)
    config = update(config, detection(semantic), voice_fixed=False, detections=own)
    assert taken(config, {"type": "semantic_vad"}) == config.audio.input.turn_detection
    # Nothing of the other type, and nothing of what was set before it, is left.
    assert taken(config, {"type": "server_vad"}) == ServerVad(threshold=0.7)
    assert taken(config, None) is None


@pytest.mark.parametrize(
    ("value", "param"),
    [
        ({"type": "semantic_vad", "threshold": 0.5}, ".threshold"),
        ({"type": "semantic_vad", "eagerness": "very"}, ".eagerness"),
        ({"type": "none"}, ".type"),
        ({"eagerness": "low"}, ".eagerness"),
    ],
)
def test_a_turn_detection_that_does_not_exist_is_refused(value: object, param: str) -> None:
    with pytest.raises(Rejected) as refused:
        changed(CONFIG, detection(value))
    assert refused.value.param == f"session.audio.input.turn_detection{param}"


def test_transcription_is_echoed_with_its_nulls() -> None:
    config = changed(
        CONFIG, patch(audio={"input": {"transcription": {"model": "gpt-4o-mini-transcribe"}}})
    )
    echo = msgspec.to_builtins(config)["audio"]["input"]["transcription"]
    assert echo == {"model": "gpt-4o-mini-transcribe", "language": None, "prompt": None}


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"instructions": "x"}, "missing_required_parameter", "session.type"),
        ({"type": "transcription"}, "invalid_parameter", "session.type"),
        (patch(nonsense=1), "unknown_parameter", "session.nonsense"),
        (
            patch(tools=[{"type": "function", "name": "good"}, {"type": "function"}]),
            "missing_required_parameter",
            "session.tools[1].name",
        ),
        (patch(id="sess_2"), "unknown_parameter", "session.id"),
        (patch(object="x"), "unknown_parameter", "session.object"),
        (patch(expires_at=1), "unknown_parameter", "session.expires_at"),
        (patch(temperature=0.8), "unknown_parameter", "session.temperature"),
        (
            patch(audio={"input": {"turn_detection": {"type": "server_vad", "eager": 1}}}),
            "unknown_parameter",
            "session.audio.input.turn_detection.eager",
        ),
        (
            detection({"type": "server_vad", "threshold": 1.5}),
            "decimal_above_max_value",
            "session.audio.input.turn_detection.threshold",
        ),
        (
            detection({"type": "server_vad", "silence_duration_ms": 1}),
            "integer_below_min_value",
            "session.audio.input.turn_detection.silence_duration_ms",
        ),
        (
            patch(audio={"input": {"format": {"type": "audio/pcm", "rate": 16_000}}}),
            "integer_below_min_value",
            "session.audio.input.format.rate",
        ),
        (
            patch(audio={"output": {"speed": 0.1}}),
            "decimal_below_min_value",
            "session.audio.output.speed",
        ),
        (patch(max_output_tokens=5_000), "integer_above_max_value", "session.max_output_tokens"),
        (patch(max_output_tokens="many"), "invalid_value", "session.max_output_tokens"),
        (
            patch(output_modalities=["audio", "text"]),
            "array_above_max_length",
            "session.output_modalities",
        ),
        (patch(output_modalities=["video"]), "invalid_value", "session.output_modalities[0]"),
        (patch(instructions=None), "invalid_value", "session.instructions"),
        (patch(audio=None), "invalid_value", "session.audio"),
        (patch(tools={}), "invalid_value", "session.tools"),
    ],
)
def test_one_bad_field_refuses_the_whole_update(
    fields: dict[str, Any], code: str, param: str
) -> None:
    talk = Talk(detection=ServerVad())
    before = talk.state
    talk.take(inp.UpdateSession(session={"instructions": "lost", **fields}, event_id="update_7"))
    assert talk.types == ["error"]
    error = talk.events[0]["error"]
    assert (error["code"], error["param"]) == (code, param)
    assert (error["type"], error["event_id"]) == ("invalid_request_error", "update_7")
    assert talk.state == before


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"nonsense": 1}, "unknown_parameter", "response.nonsense"),
        (
            {"audio": {"output": {"speed": 2}}},
            "unknown_parameter",
            "response.audio.output.speed",
        ),
        (
            {"metadata": {str(n): "" for n in range(17)}},
            "object_above_max_properties",
            "response.metadata",
        ),
        ({"metadata": {"k" * 65: ""}}, "string_above_max_length", "response.metadata"),
        ({"metadata": {"k": "v" * 513}}, "string_above_max_length", "response.metadata"),
        (
            {"input": [{"type": "item_reference", "id": "nobody"}]},
            "invalid_value",
            "response.input[0].id",
        ),
        ({"input": [{"id": "x"}]}, "missing_required_parameter", "response.input[...].type"),
        ({"conversation": "other"}, "invalid_value", "response.conversation"),
    ],
)
def test_errors_of_response_create_name_the_field(
    fields: dict[str, Any], code: str, param: str
) -> None:
    talk = Talk()
    talk.take(inp.CreateResponse(overrides=fields, event_id="create_7"))
    error = talk.one("error")["error"]
    assert (error["code"], error["event_id"]) == (code, "create_7")
    assert error["param"] in {param, param.replace("[...]", "[0]"), param.replace("[...]", "")}
    assert talk.state.responses == ()


def test_read_only_fields_may_be_sent_back_unchanged() -> None:
    whole = msgspec.to_builtins(CONFIG)
    assert changed(CONFIG, whole) == CONFIG


def test_another_model_is_ignored() -> None:
    assert changed(CONFIG, patch(model="gpt-realtime-2.1")) == CONFIG


def test_the_voice_is_fixed_once_there_was_audio_but_may_be_sent_again() -> None:
    talk = Talk()
    voice = patch(audio={"output": {"voice": "de"}})
    talk.take(inp.UpdateSession(session=voice))
    response_id = talk.ask()
    talk.take(inp.ReplyText(response_id=response_id, text="Hallo."), audio(response_id, 0, 100.0))
    talk.take(inp.UpdateSession(session=voice))
    assert talk.types == ["session.updated"]
    before = talk.state.config
    other = patch(instructions="lost", audio={"output": {"voice": "fr"}})
    talk.take(inp.UpdateSession(session=other))
    assert talk.one("error")["error"]["code"] == "cannot_update_voice"
    assert talk.state.config == before


@pytest.mark.parametrize("tracing", ["auto", None, {"workflow_name": "home", "group_id": "1"}])
def test_the_second_update_of_agents_clients_is_no_error(tracing: object) -> None:
    talk = Talk()
    talk.take(inp.UpdateSession(session=patch(tracing="auto")))
    talk.take(inp.UpdateSession(session=patch(tracing=tracing)))
    assert talk.one("session.updated")["session"]["tracing"] == tracing


def test_the_pipeline_is_told_before_the_client() -> None:
    talk = Talk(detection=ServerVad())
    talk.take(inp.SpeechStarted(0))
    talk.take(inp.UpdateSession(session=detection(None)))
    assert isinstance(talk.effects[0], Configure)
    assert talk.effects[0].config.audio.input.turn_detection is None
    # Speech that was under way is over with it.
    talk.take(inp.SpeechStopped(900))
    assert talk.effects == []


def test_a_running_response_keeps_its_configuration() -> None:
    talk = Talk()
    talk.take(inp.CommitAudio(buffered_ms=500.0))
    item_id = talk.one("input_audio_buffer.committed")["item_id"]
    talk.ask()
    talk.take(inp.UpdateSession(session=patch(instructions="New.", output_modalities=["text"])))
    talk.take(inp.TranscriptReady(item_id=item_id, text="Hello.", duration_s=0.5))
    options = talk.generated[-1].options
    assert (options.instructions, options.modality) == ("", "audio")


def test_json_nested_without_end_is_refused() -> None:
    deep: Any = "bottom"
    for _ in range(5_000):
        deep = {"deeper": deep}
    for _ in range(2):
        with pytest.raises(Rejected, match="nested too deeply"):
            changed(CONFIG, patch(tracing=deep))
    talk = Talk()
    talk.take(inp.CreateResponse(overrides={"prompt": deep}))
    assert talk.one("error")["error"]["code"] == "invalid_value"
