"""Whisper through the real library, on models made on the spot."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from tests.engines.whisper_helpers import Hearing, hear, loaded, silence, sound, stable_texts
from tests.models.whisper_model import (
    SENTENCE,
    WORD_S,
    Listener,
    write_listener,
    write_true_shape,
)
from tests.patience import CEILING_S
from voiced.engines.ports import WorkCancelled
from voiced.engines.stt import whisper_utterance
from voiced.engines.stt.whisper import WhisperEngine
from voiced.engines.stt.whisper_decoder import Heard, WindowDecoder
from voiced.engines.stt.whisper_model import STEP
from voiced.engines.stt.whisper_windows import to_samples
from voiced.errors import EngineFailed, ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from voiced.engines.stt.whisper_model import Step


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whisper")
    write_listener(folder / "listener")
    write_listener(folder / "german", Listener(language="de"))
    write_listener(folder / "rambler", Listener(rambles=True))
    write_listener(folder / "endless", Listener(endless=True))
    sentences = ("Hello", "there.", "It", "is", "late.", "Good", "night")
    write_listener(folder / "sentences", Listener(words=sentences))
    return folder


@pytest.fixture(scope="module")
def engine(models: Path) -> WhisperEngine:
    return loaded(models / "listener")


def words_of(count: int) -> str:
    return " ".join(SENTENCE[:count])


def test_it_tells_what_it_can(models: Path) -> None:
    info = WhisperEngine({"model": str(models / "listener"), "language": "en"}).load()
    assert (info.kind, info.name, info.model) == ("stt", "whisper", "listener")
    assert set(info.languages) == {"en", "de", "fr", "ja"}
    assert {"partials", "word_times"} <= set(info.capabilities)


@pytest.mark.parametrize("seconds", [0.6, 1.5, 2.4, 3.0, 3.9])
def test_more_speech_is_more_words(engine: WhisperEngine, seconds: float) -> None:
    result = hear(engine, sound(seconds))
    said = result["text"].split()
    assert said == list(SENTENCE[: len(said)])
    assert abs(len(said) - seconds / WORD_S) <= 1.5
    assert result["confidence"] > 0.9
    assert result["duration_s"] == pytest.approx(seconds)


def test_a_text_may_end_where_a_call_of_the_decoder_does(tmp_path: Path) -> None:
    words = tuple(f"word{number}" for number in range(STEP))
    model = write_listener(tmp_path / "even", Listener(words=words))
    assert hear(loaded(model), sound(STEP * WORD_S + 2))["text"].split() == list(words)


def test_where_somebody_speaks_the_text_does_not_begin_with_its_end(engine: WhisperEngine) -> None:
    """As by faster-whisper: sound too short for a word is heard as the likeliest one."""
    assert hear(engine, sound(0.05))["text"] == SENTENCE[0]


def test_the_whole_window_gives_the_same(models: Path, engine: WhisperEngine) -> None:
    full = loaded(models / "listener", encoder_window="full")
    for seconds in (1.0, 3.0):
        assert hear(full, sound(seconds))["text"] == hear(engine, sound(seconds))["text"]


def test_audio_in_crumbs_is_audio_in_one_piece(engine: WhisperEngine) -> None:
    pcm = sound(2.0)
    crumbs = [pcm[at : at + 333] for at in range(0, len(pcm), 333)]
    assert hear(engine, *crumbs) == hear(engine, pcm)


@pytest.mark.parametrize("pcm", [b"", silence(2.0), sound(2.0, level=0.0005), sound(2.0, 0.002)])
def test_where_nobody_speaks_there_is_no_text(engine: WhisperEngine, pcm: bytes) -> None:
    result = hear(engine, pcm)
    assert (result["text"], result["confidence"]) == ("", 0.0)
    assert result["no_speech_prob"] > 0.6


def test_text_made_up_at_length_is_none(tmp_path: Path) -> None:
    """Whether nobody spoke is known from the first step of many."""
    words = tuple(f"word{number}" for number in range(150))
    model = write_listener(tmp_path / "dreamer", Listener(words=words, endless=True))
    result = hear(loaded(model), sound(2.0, level=0.002))
    assert result["text"] == ""
    assert result["no_speech_prob"] > 0.6


def test_what_is_silent_is_not_even_decoded(
    engine: WhisperEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine.model, "encode", lambda *_: pytest.fail("it was encoded"))
    assert hear(engine, sound(2.0, level=0.0002))["text"] == ""


def test_without_the_gate_the_model_would_make_words_up(
    engine: WhisperEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voiced.engines.stt.whisper_decoder.is_invented", lambda *_: False)
    assert hear(engine, sound(2.0, level=0.002))["text"]


# -- languages and prompts ----------------------------------------------------------------


def test_the_language_is_found_out_where_none_is_given(models: Path) -> None:
    engine = loaded(models / "german", language="auto")
    assert hear(engine, sound(1.0), language="auto")["language"] == "de"
    assert hear(engine, sound(1.0), language="")["language"] == "de"
    assert hear(engine, sound(1.0), language="fr-CA")["language"] == "fr"
    assert hear(loaded(models / "german", language="de_AT"), sound(1.0), language="")["text"]


def test_it_is_found_out_once_an_utterance(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = loaded(models / "german", language="auto")
    asked: list[object] = []
    model = engine.model
    detect = model.detect_language

    def counted(encoded: object) -> str:
        asked.append(encoded)
        return detect(encoded)

    monkeypatch.setattr(model, "detect_language", counted)
    work = Hearing(sound(1.0), b"", sound(1.0), b"", sound(1.0), language="auto")
    assert engine.run(work)["language"] == "de"
    assert len(asked) == 1


def test_a_language_that_it_does_not_know_is_refused(models: Path, engine: WhisperEngine) -> None:
    with pytest.raises(EngineFailed, match="'xx'"):
        hear(engine, sound(1.0), language="xx")
    with pytest.raises(ModelError, match=r"stt\.language.*'xx'"):
        WhisperEngine({"model": str(models / "listener"), "language": "xx"}).load()


def test_a_prompt_stands_before_the_text(engine: WhisperEngine) -> None:
    model = engine.model
    prompt = model.prompt("en", "Ada")
    plain = model.prompt("en", "")
    assert prompt[-len(plain) :] == plain
    assert model.text("en", prompt[1 : -len(plain)]) == " Ada"
    endless = model.prompt("en", "Ada " * 1000)
    assert len(endless) <= 448 / 2 + len(plain)
    assert isinstance(hear(engine, sound(1.0), prompt="Ada " * 1000)["text"], str)


def test_a_prompt_cannot_begin_the_task_anew(engine: WhisperEngine) -> None:
    """The library's tokenizer takes the name of a token in a text for the token."""
    model = engine.model
    plain = model.prompt("en", "")
    prompt = model.prompt("en", "<|startoftranscript|>Ada<|de|><|notimestamps|>")
    words = prompt[1 : -len(plain)]
    assert model.text("en", words).strip() == "Ada"
    assert max(words) < model.eot
    assert prompt[-len(plain) :] == plain


def test_a_model_for_english_only_hears_english(models: Path) -> None:
    write_listener(models / "english", Listener(english_only=True))
    engine = loaded(models / "english")
    assert engine.model.languages == ("en",)
    result = hear(engine, sound(3.0), word_times=True)
    assert abs(len(result["text"].split()) - 10) <= 1
    assert result["words"][1]["start"] == pytest.approx(WORD_S, abs=0.2)
    assert hear(engine, sound(3.0), language="auto")["language"] == "en"
    with pytest.raises(EngineFailed, match="'de'"):
        hear(engine, sound(1.0), language="de")
    with pytest.raises(ModelError, match="English only"):
        WhisperEngine({"model": str(models / "english"), "language": "de"}).load()


def test_a_model_of_true_shape_is_the_same_to_faster_whisper(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the bench compares says the same both ways, offline."""
    import faster_whisper

    monkeypatch.setattr("tqdm.tqdm.monitor_interval", 0)
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("nothing may be fetched"))
    model = write_true_shape(tmp_path / "tiny", "tiny")
    engine = WhisperEngine({"model": str(model), "language": "en", "compute_type": "int8"})
    assert len(engine.load().languages) >= 4
    naive = faster_whisper.WhisperModel(str(model), device="cpu", compute_type="int8")
    for seconds, words in ((1.0, 3), (2.0, 7), (5.0, len(SENTENCE))):
        said = " ".join(SENTENCE[:words])  # as partial transcripts of it grow
        assert hear(engine, sound(seconds))["text"] == said
        found, info = naive.transcribe(to_samples(sound(seconds)))
        segments = list(found)
        assert "".join(segment.text for segment in segments).strip() == said
        assert info.language == "en"
        assert {segment.temperature for segment in segments} == {0.0}  # it need not be asked again


def change_config(model: Path, **without: bool) -> Path:
    config = json.loads((model / "config.json").read_text())
    kept = {key: value for key, value in config.items() if key not in without}
    (model / "config.json").write_text(json.dumps(kept))
    return model


def test_a_model_converted_long_ago_tells_no_word_times(tmp_path: Path) -> None:
    model = change_config(write_listener(tmp_path / "old"), alignment_heads=True)
    engine = WhisperEngine({"model": str(model), "language": "en", "compute_type": "float32"})
    assert "word_times" not in engine.load().capabilities
    result = hear(engine, sound(3.0), word_times=True)
    assert result["text"]
    assert "words" not in result


def test_a_model_that_finds_out_no_language_is_told_one(tmp_path: Path) -> None:
    model = change_config(write_listener(tmp_path / "old"), lang_ids=True)
    with pytest.raises(ModelError, match=r"stt\.language: .*config\.json has no lang_ids"):
        WhisperEngine({"model": str(model), "language": "auto"}).load()
    engine = loaded(model)
    assert hear(engine, sound(3.0))["text"]
    with pytest.raises(EngineFailed, match="has to be told the language"):
        hear(engine, sound(1.0), language="auto")


# -- guards -------------------------------------------------------------------------------


def windows_of(engine: WhisperEngine, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The frames of each window that it encodes from now on."""
    windows: list[int] = []
    encode = engine.model.encode

    def noted(samples: NDArray[np.float32], frames: int) -> object:
        windows.append(frames)
        return encode(samples, frames)

    monkeypatch.setattr(engine.model, "encode", noted)
    return windows


def test_a_loop_on_a_short_window_is_decoded_again_on_30_s(
    models: Path, engine: WhisperEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    rambler = loaded(models / "rambler")
    windows = windows_of(rambler, monkeypatch)
    result = hear(rambler, sound(3.0))
    assert windows == [400, 3000]
    said = result["text"].split()
    assert said == list(SENTENCE[: len(said)])
    assert abs(len(said) - 10) <= 2


def test_a_short_window_may_not_say_more_than_anybody_could(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Words without end, and no loop: the bound on tokens ends that, and 30 s put it right."""
    words = tuple(f"word{number}" for number in range(150))
    model = write_listener(tmp_path / "talker", Listener(words=words, rambles=True))
    talker = loaded(model)
    asked: list[int] = []
    decode = talker.model.decode

    def noted(encoded: object, prompt: Sequence[int], said: Sequence[int]) -> Step:
        asked.append(len(said))
        return decode(encoded, prompt, said)

    monkeypatch.setattr(talker.model, "decode", noted)
    said = hear(talker, sound(2.0))["text"].split()
    assert said == list(words[: len(said)])
    assert len(said) < 10
    assert asked == [0, 32, 0]  # 24 + 12 * 2 tokens: two calls, and one on 30 s


def test_a_text_that_repeats_itself_is_decoded_again_on_30_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In rounds too long for a loop of tokens to be seen."""
    words = tuple(f"w{number}" for number in range(26)) * 3
    model = write_listener(tmp_path / "parrot", Listener(words=words))
    parrot = loaded(model)
    windows = windows_of(parrot, monkeypatch)
    assert len(hear(parrot, sound(24.0))["text"].split()) > 70
    assert windows == [2500, 3000]


def test_without_the_guards_it_would_ramble(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voiced.engines.stt.whisper_decoder.find_loop", lambda _tokens: None)
    monkeypatch.setattr(WindowDecoder, "_is_wrong", lambda *_: False)
    said = hear(loaded(models / "rambler"), sound(3.0))["text"].split()
    assert len(said) > len(SENTENCE) + 10


def test_a_loop_that_stays_is_cut_to_one_round(models: Path) -> None:
    text = hear(loaded(models / "endless"), sound(3.0))["text"]
    assert text == " ".join(SENTENCE)


def test_a_loop_in_a_long_window_loses_nothing_after_it(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Decoding ends where the loop begins; the halves are heard by themselves."""
    endless = loaded(models / "endless")
    windows: list[int] = []
    hear_window = WindowDecoder.hear

    def noted(self: WindowDecoder, samples: NDArray[np.float32], language: str) -> Heard:
        windows.append(len(samples))
        return hear_window(self, samples, language)

    monkeypatch.setattr(WindowDecoder, "hear", noted)
    pcm = sound(6.0) + silence(1.0) + sound(5.0)
    work = Hearing(pcm, b"", silence(0.1))
    result = endless.run(work)
    assert result["text"] == " ".join(SENTENCE * 2)
    assert [segment["text"] for segment in result["segments"]] == [" ".join(SENTENCE)] * 2
    first, second = (segment["end"] for segment in result["segments"])
    assert 6.0 < first < 7.0  # in the pause
    assert second == pytest.approx(12.1)
    assert windows[0] == 12 * 16_000
    assert sum(windows[1:]) == round(12.1 * 16_000)
    (part,) = work.parts
    assert result["text"].startswith(part["stable"])


# -- while somebody speaks ----------------------------------------------------------------


def test_asked_it_tells_what_it_has_heard_so_far(engine: WhisperEngine) -> None:
    pieces = [piece for _ in range(4) for piece in (sound(0.9), b"")]
    work = Hearing(*pieces)
    result = engine.run(work)
    texts = [part["text"] for part in work.parts]
    assert len(texts) == 4
    assert result["text"].startswith(texts[-1])
    for before, after in itertools.pairwise(texts):
        assert after.startswith(before)
        assert len(after) > len(before)
    stable = stable_texts(work.parts)
    assert stable[0] == ""
    assert stable[1] == texts[0]  # what two in a row have
    for before, after in itertools.pairwise([*stable, result["text"]]):
        assert after.startswith(before)


def test_partials_can_be_turned_off(models: Path) -> None:
    engine = WhisperEngine({"model": str(models / "listener"), "language": "en", "partials": False})
    assert "partials" not in engine.load().capabilities


def test_silence_behind_the_last_question_needs_no_decoding_again(
    engine: WhisperEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[int] = []
    hear_window = WindowDecoder.hear

    def counted(self: WindowDecoder, samples: NDArray[np.float32], language: str) -> object:
        heard.append(len(samples))
        return hear_window(self, samples, language)

    monkeypatch.setattr(WindowDecoder, "hear", counted)
    work = Hearing(sound(2.0), b"", silence(0.3))
    assert engine.run(work)["text"] == work.parts[0]["text"]
    assert len(heard) == 1
    heard.clear()
    hear(engine, sound(2.0), b"", silence(0.1), sound(0.5))
    assert len(heard) == 2


def test_words_have_their_times_when_much_silence_came_after_the_question(
    engine: WhisperEngine,
) -> None:
    result = hear(engine, sound(2.0), b"", silence(5.0), word_times=True)
    assert " ".join(word["text"] for word in result["words"]) == result["text"]
    assert result["words"][-1]["start"] == pytest.approx((len(result["words"]) - 1) * 0.3, abs=0.3)


def test_a_crumb_of_audio_is_not_worth_a_question(engine: WhisperEngine) -> None:
    work = Hearing(sound(0.1), b"")
    engine.run(work)
    assert work.parts == [{"text": "", "stable": "", "question": 1}]


class AskedAnew(Hearing):
    """While its first question is being answered, another one comes."""

    questions = 0

    @property
    def asked_anew(self) -> bool:
        return self.questions == 1

    def chunks(self) -> Iterator[bytes]:
        for chunk in super().chunks():
            self.questions += not chunk
            yield chunk


def test_a_question_gives_way_to_the_next_and_nothing_is_lost(
    engine: WhisperEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[int] = []
    encode = engine.model.encode

    def counted(samples: NDArray[np.float32], frames: int) -> object:
        encoded.append(len(samples))
        return encode(samples, frames)

    monkeypatch.setattr(engine.model, "encode", counted)
    pieces = (sound(1.2), b"", sound(0.9), b"", sound(0.6))
    asked, anew = Hearing(*pieces), AskedAnew(*pieces)
    assert engine.run(anew) == engine.run(asked)
    assert [part["question"] for part in anew.parts] == [2]
    assert anew.parts[0]["text"] == asked.parts[1]["text"]
    assert encoded[:2] == [round(2.1 * 16_000), round(2.7 * 16_000)]


# -- long recordings ----------------------------------------------------------------------


def test_a_long_recording_is_heard_window_by_window(engine: WhisperEngine) -> None:
    pieces = [sound(4.0), silence(20.0), sound(3.0), silence(1.0), sound(3.0), silence(30.0)]
    work = Hearing(*pieces, sound(1.5))
    result = engine.run(work)
    assert result["duration_s"] == pytest.approx(62.5)
    done = [part["progress_s"] for part in work.parts]
    assert len(done) == 2
    assert done == sorted(done)
    segments = result["segments"]
    assert " ".join(segment["text"] for segment in segments) == result["text"]
    for before, after in itertools.pairwise(segments):
        assert before["end"] <= after["start"]
    # What stands in the windows begins anew in each: the script of these models does.
    assert result["text"].count("turn on the lamp") >= 2


def test_partials_go_on_over_the_border_of_windows(engine: WhisperEngine) -> None:
    work = Hearing(sound(4.0), b"", silence(24.0), sound(1.2), b"", silence(4.0), sound(1.2), b"")
    engine.run(work)
    for before, after in itertools.pairwise(stable_texts(work.parts)):
        assert after.startswith(before)


def test_what_is_stable_is_kept_over_several_borders(engine: WhisperEngine) -> None:
    pieces = [sound(1.2), silence(28.0), sound(1.2), silence(28.0), sound(1.2), b""]
    work = Hearing(*pieces)
    result = engine.run(work)
    (*_, last) = stable_texts(work.parts)
    assert last.count(SENTENCE[0]) == 2  # the third window is still open
    assert result["text"].startswith(last)


# -- word times ---------------------------------------------------------------------------


def test_words_are_placed_where_they_were_said(engine: WhisperEngine) -> None:
    assert "words" not in hear(engine, sound(3.0))
    result = hear(engine, sound(3.0), word_times=True)
    words = result["words"]
    assert " ".join(word["text"] for word in words) == result["text"]
    for number, word in enumerate(words):
        assert word["start"] <= word["end"] <= 3.0
        assert word["start"] == pytest.approx(number * WORD_S, abs=0.2)


def test_no_word_is_placed_behind_the_sound(tmp_path: Path) -> None:
    """The window goes on with silence, where a model that says too much would look for the rest."""
    words = tuple(f"word{number}" for number in range(20))
    model = write_listener(tmp_path / "eager", Listener(words=words, endless=True))
    found = hear(loaded(model), sound(3.0), word_times=True)["words"]
    assert [word["text"] for word in found[: len(words)]] == list(words)  # of 6 s
    assert max(word["end"] for word in found) <= 3.0


def test_words_of_later_windows_are_placed_in_the_recording(engine: WhisperEngine) -> None:
    result = hear(engine, silence(28.0), sound(2.4), silence(2.0), sound(1.2), word_times=True)
    assert all(0 <= word["start"] <= word["end"] <= 33.6 for word in result["words"])
    assert max(word["end"] for word in result["words"]) > 29


def test_sentences_are_segments_where_the_times_are_known(models: Path) -> None:
    result = hear(loaded(models / "sentences"), sound(2.1), word_times=True)
    texts = [segment["text"] for segment in result["segments"]]
    assert texts[:2] == ["Hello there.", "It is late."]
    starts = [segment["start"] for segment in result["segments"]]
    assert starts[1] == pytest.approx(2 * WORD_S, abs=0.2)


# -- cancelling ---------------------------------------------------------------------------


def test_a_cancel_before_and_between_calls_ends_the_work(engine: WhisperEngine) -> None:
    work = Hearing(sound(1.0))
    work.cancel()
    with pytest.raises(WorkCancelled):
        engine.run(work)


@pytest.mark.parametrize("call", ["encode", "decode", "align"])
def test_a_cancel_in_a_call_does_not_wait_for_its_end(
    models: Path, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = loaded(models / "listener")
    model = engine.model
    native = getattr(model, call)
    begun, go_on = threading.Event(), threading.Event()

    def slow(*args: object) -> object:
        begun.set()
        assert go_on.wait(CEILING_S)
        return native(*args)

    monkeypatch.setattr(model, call, slow)
    work = Hearing(sound(1.0), word_times=True)
    ended = threading.Event()

    def run() -> None:
        with pytest.raises(WorkCancelled):
            engine.run(work)
        ended.set()

    thread = threading.Thread(target=run)
    thread.start()
    assert begun.wait(CEILING_S)
    work.cancel()
    assert ended.wait(CEILING_S)  # though the call is still under way
    thread.join()
    monkeypatch.setattr(model, call, native)
    after: list[str] = []
    follower = threading.Thread(target=lambda: after.append(hear(engine, sound(1.5))["text"]))
    follower.start()
    go_on.set()
    follower.join(CEILING_S)
    assert after == [words_of(4)] or after == [words_of(5)]


def test_a_failing_call_fails_the_request_and_no_more(
    engine: WhisperEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = engine.model

    def broken(*_: object) -> object:
        raise RuntimeError("out of something")

    with monkeypatch.context() as patch:
        patch.setattr(model, "encode", broken)
        with pytest.raises(RuntimeError, match="something"):
            hear(engine, sound(1.0))
    assert hear(engine, sound(1.5))["text"]


def test_only_what_it_needs_is_imported() -> None:
    code = (
        "import sys; import voiced.engines.stt.whisper;"
        "from voiced.engines.stt.whisper_model import _submodules;"
        "_submodules('feature_extractor', 'tokenizer');"
        "print([m for m in ('trio', 'faster_whisper', 'av', 'onnxruntime', 'huggingface_hub',"
        " 'structlog') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=CEILING_S
    )
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr


def test_texts_are_joined_with_spaces_and_without_empty_ones() -> None:
    assert whisper_utterance.join("", "a", "", "b") == "a b"


@pytest.mark.parametrize(
    "texts", [("今日は。", "いい天気です"), ("สวัสดี", "ครับ"), ("你好。", "好"), ("はい\uff01", "OK")]
)
def test_scripts_without_spaces_are_joined_without(texts: tuple[str, str]) -> None:
    assert whisper_utterance.join(*texts) == "".join(texts)


def test_a_sentence_is_put_together_as_it_is_written() -> None:
    """Its words have the space before them, or none: of "well-known" the library makes two."""
    words = [" A", " well", "-known", " one.", ' "So?"', " Yes", "!\u201d", "今", "日"]
    timed = [(word, float(at), at + 1.0) for at, word in enumerate(words)]
    settled = whisper_utterance.Settled(Heard(text="…"), 0, 16_000, timed)
    texts = [part["text"] for part in whisper_utterance.segments_of(settled)]
    assert texts == ["A well-known one.", '"So?"', "Yes!\u201d", "今日"]
