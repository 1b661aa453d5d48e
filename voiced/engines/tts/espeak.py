"""Speech by eSpeak NG: small, quick, many languages, and nothing to download.

The library and its voices come with the package espeakng-loader and are driven through
ctypes. The library keeps its state in globals, so one process speaks one text at a time.
Measured on one x86-64 core: a second of speech takes 0.7 ms, the first 60 ms of it 0.1 ms.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import espeakng_loader

from voiced.engines.ports import EngineInfo, Work
from voiced.errors import EngineFailed, ModelError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

# espeak-ng/speak_lib.h
_OUTPUT_SYNCHRONOUS = 2
_INITIALIZE_DONT_EXIT = 0x8000
_CHARS_UTF8 = 0x1
_END_PAUSE = 0x1000
_PARAMETER_RATE = 1
_OK = 0
_CONTINUE, _STOP = 0, 1

_DATA_PATH_BYTES = 120
"""The library cuts longer paths (160 with what it appends), and then finds nothing."""

MAX_TEXT_CHARACTERS = 4_096
"""The longest text of one request, about four minutes of speech; it is the limit of the
OpenAI speech API too."""

_NATURAL_WPM = 165  # a little calmer than the library's 175
_MIN_WPM = 80  # the library speaks no slower
_BUFFER_MS = 60  # its shortest
_LATER_PARTS_MS = 200

# C0 and C1 controls, apart from white space: Ctrl-A begins an embedded command.
_CONTROLS = {code: " " for code in (*range(32), *range(127, 160)) if chr(code) not in "\t\n\r"}

_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)


class _Voice(ctypes.Structure):
    """`espeak_VOICE`. `languages` is a priority byte and a name, perhaps more of them."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("languages", ctypes.c_char_p),
        ("identifier", ctypes.c_char_p),
        ("gender", ctypes.c_ubyte),
        ("age", ctypes.c_ubyte),
        ("variant", ctypes.c_ubyte),
        ("xx1", ctypes.c_ubyte),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    )


class EspeakEngine:
    """`ChildEngine` of kind tts. Options: `voice`, a language (`en-us`), a voice's name or
    file, each with an optional variant (`en-us+f3`)."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._default_voice = str(options.get("voice") or "en-us")
        self._voice = ""
        self._wpm = 0
        self._sample_rate = 0
        self._speech: _Speech | None = None
        self._callback = _Callback(self._take_buffer)  # must live as long as the library

    def load(self) -> EngineInfo:
        """Raises `ModelError` without library or data, `SettingsError` for an unknown voice."""
        self._library = _load_library(Path(espeakng_loader.get_library_path()))
        self._sample_rate = self._initialize(Path(espeakng_loader.get_data_path()))
        self._library.espeak_SetSynthCallback(self._callback)
        self._voices = self._list_voices(None)
        self._variants = self._list_voices(b"variant")
        if not self._set_voice(self._default_voice):
            raise SettingsError(
                f"tts.voice: eSpeak NG has no {self._default_voice!r}; allowed are languages "
                "such as en-us, en-gb, de or fr, with a variant as in en-us+f3"
            )
        version = self._library.espeak_Info(None)
        return EngineInfo(
            kind="tts",
            name="espeak",
            version=version.decode().split()[0],
            model="eSpeak NG",
            languages=tuple(sorted(key for key in self._voices if _is_language(key))),
            sample_rates=(self._sample_rate,),
            voices=tuple(sorted(self._voices)),
            variants=tuple(sorted(self._variants)),
        )

    def warm_up(self) -> None:
        """Speak a word, so that the dictionary is read."""
        self._speech = None
        self._synthesize("ready", 1.0)

    def run(self, work: Work) -> Mapping[str, Any]:
        """See `ChildEngine.run`, speak.

        The first part is at most 60 ms long and begins where the sound does, later ones
        200 ms. Speed 1.0 is 165 words a minute; the slowest is about 0.5, below which it stays
        there. A voice that is not known, such as those of other services, is the default one.
        Text is text: neither markup nor phonemes nor commands are looked for in it.
        """
        text = str(work.params["text"])
        if len(text) > MAX_TEXT_CHARACTERS:
            raise EngineFailed(f"a text to speak may have {MAX_TEXT_CHARACTERS} characters")
        if not self._set_voice(str(work.params.get("voice") or self._default_voice)):
            self._set_voice(self._default_voice)
        speech = self._speech = _Speech(work, self._sample_rate)
        try:
            self._synthesize(text, float(work.params.get("speed", 1.0)))
        finally:
            self._speech = None
        if speech.error is not None:
            raise speech.error
        speech.flush()
        return {"duration_s": speech.samples / self._sample_rate}

    # -- the library

    def _initialize(self, data: Path) -> int:
        path = os.fsencode(data)
        if len(path) > _DATA_PATH_BYTES:
            # A short name for the same directory. The descriptor stays open: files of other
            # languages are read when they are first spoken.
            directory = os.open(data.parent, os.O_RDONLY | os.O_DIRECTORY)
            path = b"/proc/self/fd/%d/%s" % (directory, os.fsencode(data.name))
        rate = int(
            self._library.espeak_Initialize(
                _OUTPUT_SYNCHRONOUS, _BUFFER_MS, path, _INITIALIZE_DONT_EXIT
            )
        )
        if rate <= 0:
            raise ModelError(f"eSpeak NG cannot read its data in {data}")
        return rate

    def _list_voices(self, language: bytes | None) -> dict[str, bytes]:
        """Every way to name a voice, in lower case, and the file that it stands for."""
        wanted = None if language is None else ctypes.byref(_Voice(languages=language))
        listed = self._library.espeak_ListVoices(wanted)
        voices: dict[str, bytes] = {}
        index = 0
        while listed[index]:
            voice = listed[index].contents
            index += 1
            file = bytes(voice.identifier)
            if file.startswith(b"mb/"):
                continue  # needs MBROLA, which is not here
            names = (file, file.rpartition(b"/")[2], bytes(voice.name), voice.languages[1:])
            for name in names:
                voices.setdefault(name.decode().lower(), file)
        return {name: file for name, file in voices.items() if name}

    def _set_voice(self, name: str) -> bool:
        if name == self._voice:
            return True
        base, _, variant = name.lower().partition("+")
        # Looked up rather than passed on: the library would open any file of that name.
        file = self._voices.get(base)
        if file is None or (variant and variant not in self._variants):
            return False
        if variant:
            file += b"+" + self._variants[variant].rpartition(b"/")[2]
        if self._library.espeak_SetVoiceByName(file) != _OK:
            return False
        self._voice = name
        self._wpm = 0  # a voice brings a rate of its own
        return True

    def _synthesize(self, text: str, speed: float) -> None:
        wpm = max(_MIN_WPM, round(_NATURAL_WPM * speed))
        if wpm != self._wpm:
            self._library.espeak_SetParameter(_PARAMETER_RATE, wpm, 0)
            self._wpm = wpm
        data = text.translate(_CONTROLS).encode("utf-8", "replace") + b"\0"
        status = self._library.espeak_Synth(
            data, len(data), 0, 1, 0, _CHARS_UTF8 | _END_PAUSE, None, None
        )
        if status != _OK:
            raise EngineFailed("eSpeak NG could not speak this text")

    def _take_buffer(
        self, samples: ctypes._Pointer[ctypes.c_short], count: int, _events: object
    ) -> int:
        speech = self._speech
        if speech is None or count <= 0:  # 0, and no samples, at the end
            return _CONTINUE
        return _CONTINUE if speech.take(ctypes.string_at(samples, count * 2)) else _STOP


class _Speech:
    """One text being spoken: buffers in, parts out."""

    def __init__(self, work: Work, sample_rate: int) -> None:
        self._work = work
        self._sample_rate = sample_rate
        self._part_bytes = sample_rate * _LATER_PARTS_MS // 1000 * 2
        self._pending = bytearray()
        self.samples = 0
        self.error: Exception | None = None

    def take(self, pcm: bytes) -> bool:
        """False: speak no further. Never raises: an exception would be lost in the library."""
        try:
            self._work.raise_if_cancelled()
            if self.samples == 0:
                self._emit(_without_leading_silence(pcm))
            else:
                self._pending += pcm
                if len(self._pending) >= self._part_bytes:
                    self.flush()
        except Exception as exc:
            self.error = exc
            return False
        return True

    def flush(self) -> None:
        """Send what was collected. Raises `WorkCancelled`."""
        self._emit(bytes(self._pending))
        self._pending.clear()

    def _emit(self, pcm: bytes) -> None:
        if pcm:
            self._work.emit({"pcm": pcm, "sample_rate": self._sample_rate})
            self.samples += len(pcm) // 2


def _without_leading_silence(pcm: bytes) -> bytes:
    """From the first sample that is not zero; up to 50 ms before it are waiting for nothing."""
    silent_bytes = len(pcm) - len(pcm.lstrip(b"\0"))
    return pcm[silent_bytes // 2 * 2 :]


def _is_language(name: str) -> bool:
    return "/" not in name and " " not in name and len(name.partition("-")[0]) in {2, 3}


def _load_library(path: Path) -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(str(path))
    except OSError as exc:
        raise ModelError(f"cannot load the eSpeak NG library {path}: {exc}") from exc
    pointer, integer, text = ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p
    library.espeak_Initialize.argtypes = [integer, integer, text, integer]
    library.espeak_SetSynthCallback.argtypes = [_Callback]
    library.espeak_SetSynthCallback.restype = None
    library.espeak_SetVoiceByName.argtypes = [text]
    library.espeak_SetParameter.argtypes = [integer, integer, integer]
    library.espeak_ListVoices.argtypes = [ctypes.POINTER(_Voice)]
    library.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(_Voice))
    library.espeak_Info.argtypes = [pointer]
    library.espeak_Info.restype = text
    flags = ctypes.c_uint
    place = [flags, integer, flags]  # where in the text to begin and end: not used
    library.espeak_Synth.argtypes = [text, ctypes.c_size_t, *place, flags, pointer, pointer]
    return library
