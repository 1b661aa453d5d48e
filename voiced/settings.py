"""Settings as frozen structs: one section a struct, every key with a default that works."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

Port = Annotated[int, Meta(ge=0, le=65535)]
Fraction = Annotated[float, Meta(ge=0.0, le=1.0)]
Positive = Annotated[int, Meta(gt=0)]
NonNegative = Annotated[float, Meta(ge=0.0)]
Seconds = Annotated[float, Meta(gt=0.0)]
Megabytes = Annotated[float, Meta(gt=0.0)]


def limit(unit: str, exceeded: str) -> Meta:
    """Mark a key as a limit that `/api/limitations` lists.

    `unit` is the unit of its value, `exceeded` says what happens to whoever goes beyond it.
    """
    return Meta(extra={"unit": unit, "exceeded": exceeded})


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of every section: frozen, and a key it does not know is an error."""


class Server(Section, frozen=True):
    """Where voiced listens, and which names and pages may reach it."""

    host: str = "127.0.0.1"
    port: Port = 8080
    tls_port: Port = 8443
    tls_cert: str = ""
    tls_key: str = ""
    hostnames: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    handshake_timeout_s: Annotated[
        Seconds,
        limit("seconds", "a TLS handshake that is not complete by then ends the connection"),
    ] = 5.0
    head_timeout_s: Annotated[
        Seconds,
        limit(
            "seconds",
            "a request head that is not complete by then is answered 408 and the connection closed",
        ),
    ] = 5.0
    body_timeout_s: Annotated[
        Seconds,
        limit(
            "seconds",
            "an HTTP request whose body stalls longer is answered 408 and the connection closed",
        ),
    ] = 30.0
    keep_alive_s: Annotated[
        Seconds, limit("seconds", "an HTTP connection without a request for longer is closed")
    ] = 5.0
    close_timeout_s: Annotated[
        Seconds, limit("seconds", "a peer that takes longer over the closing handshake is cut off")
    ] = 2.0
    drain_s: Seconds = 3.0


class Auth(Section, frozen=True):
    """The bearer token, and who must present it: all others, and loopback if it is so set.

    The token comes from the credential `voiced-token`, or `VOICED_AUTH__TOKEN`; never from the
    file.
    """

    token: str = ""
    token_on_loopback: bool = False


class Session(Section, frozen=True):
    """Defaults of a new session; a client may change most of them by `session.update`."""

    instructions: str = ""
    max_s: Annotated[
        Seconds,
        limit("seconds", "the session ends with the error `session_expired` and close code 1001"),
    ] = 3600.0
    idle_s: Annotated[
        Seconds,
        limit(
            "seconds",
            "a session without client events for longer is completed and closed with 1001",
        ),
    ] = 1800.0
    ping_s: Seconds = 20.0
    audio_lead_ms: Positive = 400
    history_items: Positive = 200
    item_audio_mb: Annotated[
        NonNegative,
        limit(
            "MiB of audio a session",
            "the audio of the oldest items is let go of: `conversation.item.retrieve` returns them "
            "without it",
        ),
    ] = 8.0


class Limits(Section, frozen=True):
    """Bounds on what one client or all of them together may use.

    Every key is marked with `limit(...)`, so that `/api/limitations` can tell it.
    """

    connections_per_address: Annotated[
        Positive,
        limit(
            "WebSockets, and as many of observers",
            "a further one gets the error `too_many_connections` and close code 4029",
        ),
    ] = 5
    sessions: Annotated[
        Positive,
        limit("WebSockets", "a further one gets the error `too_many_sessions` and close code 4029"),
    ] = 1000
    observers: Annotated[
        Positive,
        limit(
            "WebSockets with intent=insights",
            "a further one gets the error `too_many_observers` and close code 4029",
        ),
    ] = 64
    http_connections: Annotated[
        Positive, limit("connections", "a further one is answered 503 and closed")
    ] = 128
    pending_connections: Annotated[
        Positive,
        limit(
            "connections", "the one that has waited longest without a complete request is closed"
        ),
    ] = 64
    wrong_keys_per_minute: Annotated[
        Positive,
        limit(
            "wrong API keys from one address (of IPv6: one /64 network)",
            "until a minute's share is free again, no key from there is looked at: WebSockets get "
            "the error `rate_limit_exceeded` and close code 4029, HTTP requests 429",
        ),
    ] = 60
    client_secrets: Annotated[
        Positive,
        limit("client secrets at once", "a further one is refused with 429 until one expires"),
    ] = 1000
    client_secrets_bytes: Annotated[
        Positive,
        limit(
            "bytes of sessions attached to client secrets",
            "a further secret is refused with 429 until one expires",
        ),
    ] = 4_194_304
    events_per_minute: Annotated[
        Positive,
        limit(
            "control events a session",
            "further ones get an `error` event with code `rate_limit_exceeded`",
        ),
    ] = 1000
    audio_burst_s: Annotated[
        Seconds,
        limit(
            "seconds of audio",
            "what comes further ahead of real time is read at twice real time; a client that is "
            "more than a second ahead of that gets an `error` event, and the audio is ignored",
        ),
    ] = 60.0
    frame_bytes: Annotated[
        Positive,
        limit("bytes", "a longer WebSocket message ends the connection with close code 1009"),
    ] = 22_020_096
    head_bytes: Annotated[
        Positive, limit("bytes", "a longer request head is answered 431 and the connection closed")
    ] = 16_384
    json_bytes: Annotated[
        Positive, limit("bytes", "a longer JSON body of an HTTP request is answered 413")
    ] = 1_048_576
    body_bytes_s: Annotated[
        Positive,
        limit(
            "bytes a second",
            "an HTTP request whose body lags behind this by server.body_timeout_s is answered 408 "
            "and the connection closed",
        ),
    ] = 500
    input_audio_s: Annotated[
        Seconds,
        # engines keep 310 s of one utterance (engines/spec.py), padding included
        Meta(le=300.0),
        limit("seconds of audio", "the oldest uncommitted audio is dropped and counted"),
    ] = 300.0
    item_audio_mb: Annotated[
        NonNegative,
        limit(
            "MiB of audio of all sessions' items",
            "the audio of the oldest items of the session with the most is let go of",
        ),
    ] = 256.0
    outbox_bytes: Annotated[
        Positive, limit("bytes a session", "a client that reads this far behind is disconnected")
    ] = 4_194_304
    upload_mb: Annotated[
        Megabytes, limit("megabytes", "a longer file to transcribe is answered 413")
    ] = 512.0
    recording_s: Annotated[
        Seconds, limit("seconds of audio", "a longer recording to transcribe is answered 400")
    ] = 14_400.0
    transcriptions: Annotated[
        Positive, limit("requests", "a further one at the same time is answered 429")
    ] = 4
    speeches: Annotated[
        Positive, limit("requests", "a further one at the same time is answered 429")
    ] = 8
    send_timeout_s: Annotated[
        Seconds, limit("seconds", "a client that takes nothing for longer is disconnected")
    ] = 10.0


class Provider(Section, frozen=True):
    """A server in the shapes of OpenAI's HTTP API, used as an engine. docs/providers.md."""

    url: Annotated[str, Meta(min_length=1, max_length=2000)]
    name: Annotated[str, Meta(max_length=64)] = ""
    model: str = ""
    credential: str = ""
    key_file: str = ""
    ca: str = ""
    connect_s: Seconds = 3.0
    first_s: Seconds = 10.0
    stall_s: Seconds = 10.0
    total_s: Seconds = 120.0
    options: dict[str, Any] = {}


class ChatProvider(Provider, frozen=True):
    """A server that answers: `/chat/completions`."""

    max_tokens_key: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"


class SpeechProvider(Provider, frozen=True):
    """A server that speaks: `/audio/speech`. `sample_rate` is of its PCM; WAV tells its own."""

    voice: str = ""
    format: Literal["pcm", "wav"] = "pcm"
    sample_rate: Annotated[int, Meta(ge=8_000, le=48_000)] = 24_000


class Stt(Section, frozen=True):
    """Speech to text. `model` to `speculate` are for `engine = "whisper"`; `first_ms` is for
    `engine = "stub"`, which only measures."""

    engine: str = "phrases"
    providers: tuple[Provider, ...] = ()
    engine_first: bool = False
    language: str = "en"
    model: str = ""
    threads: Annotated[int, Meta(ge=0, le=64)] = 0
    compute_type: Literal[
        "default", "auto", "int8", "int8_float32", "int16", "float16", "bfloat16", "float32"
    ] = "int8"
    encoder_window: Literal["auto", "full"] = "auto"
    partials: bool = True
    speculate: bool = True
    grace_s: Seconds = 2.0
    first_ms: NonNegative = 0.0
    options: dict[str, Any] = {}


class Llm(Section, frozen=True):
    """What answers. `first_ms` and `reply` are for `engine = "stub"`, which only measures; from
    `model` to `prefill`, what is for `engine = "llama"`."""

    engine: str = "assistant"
    providers: tuple[ChatProvider, ...] = ()
    engine_first: bool = False
    fast_path: bool = True
    sentences: str = ""
    home: str = ""
    model: str = ""
    chat_template: str = ""
    context: Annotated[int, Meta(ge=256)] = 4096
    conversations: Annotated[int, Meta(ge=1, le=16)] = 2
    threads: Positive = 2
    threads_batch: Annotated[int, Meta(ge=0)] = 0
    batch: Annotated[int, Meta(ge=8, le=2048)] = 128
    temperature: Annotated[float, Meta(ge=0.0, le=2.0)] = 0.6
    top_k: Annotated[int, Meta(ge=0)] = 40
    top_p: Annotated[float, Meta(gt=0.0, le=1.0)] = 0.95
    min_p: Fraction = 0.05
    repeat_penalty: Annotated[float, Meta(ge=1.0, le=2.0)] = 1.0
    seed: int = -1
    stop: tuple[str, ...] = ()
    tell_time: bool = True
    prefill: bool = True
    grace_s: Seconds = 2.0
    first_ms: NonNegative = 0.0
    reply: str = "This is the reply of the stub engine."
    options: dict[str, Any] = {}


class Tts(Section, frozen=True):
    """Text to speech. `first_ms` and `audio_s` are for `engine = "stub"`, which only measures."""

    engine: str = "espeak"
    providers: tuple[SpeechProvider, ...] = ()
    engine_first: bool = False
    voice: str = "en-us"
    voices: dict[str, str] = {}
    speed: Annotated[float, Meta(ge=0.25, le=1.5)] = 1.0
    grace_s: Seconds = 2.0
    first_ms: NonNegative = 0.0
    audio_s: NonNegative = 1.0
    options: dict[str, Any] = {}


class Vad(Section, frozen=True):
    """Voice activity detection. `acoustic_end` counts silence from where the sound really fell."""

    engine: Literal["silero"] = "silero"
    acoustic_end: bool = True


class TurnDetection(Section, frozen=True):
    """Turn-taking. What the Realtime protocol names is the default of a session, which a client
    may change; the rest holds for all sessions."""

    type: Literal["server_vad", "semantic_vad"] = "server_vad"
    threshold: Fraction = 0.5
    prefix_padding_ms: Annotated[int, Meta(ge=0, le=5000)] = 300
    silence_duration_ms: Annotated[int, Meta(ge=50, le=10_000)] = 200
    eagerness: Literal["low", "medium", "high", "auto"] = "auto"
    semantic_silence_ms: Annotated[int, Meta(ge=50, le=2000)] = 200
    min_speech_ms: Annotated[int, Meta(ge=0, le=1000)] = 0
    create_response: bool = True
    interrupt_response: bool = True
    resume_s: Annotated[float, Meta(ge=0.0, le=10.0)] = 0.0
    backchannel_ms: Annotated[int, Meta(ge=100, le=5000)] = 800
    speculate_ms: Annotated[int, Meta(ge=0, le=2000)] = 0
    speculate_answer: bool = False


Celsius = Annotated[float, Meta(ge=20.0, le=120.0)]


class Thermal(Section, frozen=True):
    """What gives way as the processor grows hot: from `*_c` on, until below `*_release_c`."""

    enabled: bool = True
    source: str = ""
    poll_seconds: Annotated[float, Meta(ge=0.02, le=5.0)] = 1.0
    warm_c: Celsius = 75.0
    warm_release_c: Celsius = 72.0
    hot_c: Celsius = 80.0
    hot_release_c: Celsius = 77.0
    critical_c: Celsius = 85.0
    critical_release_c: Celsius = 80.0
    dwell_s: NonNegative = 10.0
    reply_tokens: Positive = 160


class Jobs(Section, frozen=True):
    """Background work. docs/jobs.md."""

    concurrent: Annotated[int, Meta(ge=1, le=8)] = 1
    tries: Annotated[int, Meta(ge=1, le=1000)] = 8
    queue: Annotated[Positive, limit("jobs that are not over", "a further one is answered 429")] = (
        50
    )
    disk_mb: Annotated[
        Megabytes,
        limit(
            "megabytes of files of all jobs",
            "a further upload is answered 507; a job whose result would exceed it fails",
        ),
    ] = 2048.0
    recording_s: Annotated[
        Seconds, limit("seconds of audio", "a job with a longer recording fails")
    ] = 86_400.0
    text_characters: Annotated[
        Positive,
        limit("characters", "a longer text to speak, or conversation to sum up, is answered 400"),
    ] = 500_000
    keep: Annotated[
        Positive, limit("jobs that are over", "the one that was over first is removed")
    ] = 200
    keep_hours: Annotated[
        float,
        Meta(gt=0.0),
        limit("hours", "a job that has been over for longer is removed with its result"),
    ] = 168.0


class Store(Section, frozen=True):
    """Where voiced keeps what must outlive it. Empty: `$STATE_DIRECTORY`, else the user's own;
    `models` in that directory."""

    directory: str = ""
    models: str = ""


class Insights(Section, frozen=True):
    """The stream that shows what the daemon does: `/v1/realtime?intent=insights`."""

    transcripts: bool = False
    ping_s: Seconds = 30.0


class Log(Section, frozen=True):
    """What is logged, and how. `auto`: JSON under systemd, a console rendering for people."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "console"] = "auto"


class Settings(Section, frozen=True):
    """All settings of a daemon."""

    server: Server = Server()
    auth: Auth = Auth()
    session: Session = Session()
    limits: Limits = Limits()
    stt: Stt = Stt()
    llm: Llm = Llm()
    tts: Tts = Tts()
    vad: Vad = Vad()
    turn_detection: TurnDetection = TurnDetection()
    thermal: Thermal = Thermal()
    jobs: Jobs = Jobs()
    store: Store = Store()
    insights: Insights = Insights()
    log: Log = Log()
