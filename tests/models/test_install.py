"""Models come into their directory whole, checked, or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import re
from typing import TYPE_CHECKING

import pytest
import trio

from tests.certificates import certify
from tests.models.file_server import FileServer, serving
from tests.models.piper_voice import write_voice
from tests.models.small_models import write_gguf, write_whisper
from tests.models.whisper_model import write_listener
from tests.patience import CEILING_S
from voiced.engines.stt.whisper import WhisperEngine
from voiced.engines.tts.piper import PiperEngine
from voiced.errors import (
    DownloadError,
    ModelError,
    StorageError,
    StorageFull,
    UsageError,
    VoicedError,
)
from voiced.models.directory import ModelsDirectory
from voiced.models.install import RESERVE_BYTES, Installer, Request
from voiced.models.part import Part
from voiced.models.source import HUB_VARIABLE, parse_source
from voiced.models.staging import STAGING, open_staging

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from voiced.models.manifest import Manifest

AT_ONCE = (0.0, 0.0)
"""In place of the waits between tries: two more of them."""


@pytest.fixture
def gguf_bytes(tmp_path: Path) -> bytes:
    return write_gguf(tmp_path / "source.gguf").read_bytes()


async def add(
    models: Path,
    source: str,
    server: FileServer | None = None,
    *,
    name: str = "",
    sha256: str = "",
    free_bytes: Callable[[Path], int] | None = None,
) -> Manifest:
    environ = {HUB_VARIABLE: server.url} if server else {}
    request = Request(source=parse_source(source, environ), name=name, sha256=sha256)
    installer = Installer(models, free_bytes=free_bytes, waits=AT_ONCE)
    with trio.fail_after(CEILING_S):
        return await installer.add_remote(request)


def add_local(models: Path, source: Path, **more: str) -> Manifest:
    return Installer(models).add_local(Request(source=parse_source(str(source)), **more))


def parts(models: Path) -> dict[str, int]:
    """What lies there to be continued, by name."""
    return {
        path.name: path.stat().st_size
        for path in (models / STAGING).glob("*/*")
        if path.suffix != ".from"
    }


def nothing_there(models: Path) -> bool:
    return not models.exists() or not list(models.iterdir())


# -- from a path -------------------------------------------------------------------------------


def test_each_kind_is_told_by_its_files(models: Path, tmp_path: Path) -> None:
    voice = write_voice(tmp_path, "en_US-test-medium")
    whisper = write_whisper(tmp_path / "whisper-tiny")
    llm = write_gguf(tmp_path / "small-q8.gguf")
    added = [add_local(models, path) for path in (voice, whisper, llm)]
    assert [(m.name, m.kind, m.engine) for m in added] == [
        ("en_US-test-medium", "tts", "piper"),
        ("whisper-tiny", "stt", "whisper"),
        ("small-q8", "llm", "llama"),
    ]
    assert added[2].licence == "apache-2.0"  # the file itself says so
    listing = ModelsDirectory(models).look()
    assert {model.name for model in listing.models} == {m.name for m in added}
    assert not listing.faults
    assert not (models / "whisper-tiny" / "README.md").exists()
    assert not (models / STAGING).exists()


def test_the_manifest_says_what_the_files_are(models: Path, tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "small.gguf")
    manifest = add_local(models, path, licence="MIT")
    (file,) = manifest.files
    assert (file.path, file.size) == ("small.gguf", path.stat().st_size)
    assert file.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (manifest.source, manifest.licence) == (str(path), "MIT")
    model = ModelsDirectory(models).find("SMALL")
    assert model is not None
    assert model.manifest == manifest
    assert ModelsDirectory(models).verify(model) == []


def test_others_may_read_a_model(models: Path, tmp_path: Path) -> None:
    old = os.umask(0o077)
    try:
        add_local(models, write_gguf(tmp_path / "small.gguf"))
    finally:
        os.umask(old)
    assert (models / "small").stat().st_mode & 0o777 == 0o755
    assert (models / "small" / "small.gguf").stat().st_mode & 0o777 == 0o644


def test_links_are_followed_once(models: Path, tmp_path: Path) -> None:
    """As in the cache of the hub's own tools, whose snapshots are links."""
    real = write_whisper(tmp_path / "blobs")
    snapshot = tmp_path / "snapshot"
    snapshot.mkdir()
    for file in real.iterdir():
        (snapshot / file.name).symlink_to(file)
    add_local(models, snapshot)
    assert not (models / "snapshot" / "model.bin").is_symlink()


def test_a_file_that_is_no_model_is_named_as_it_was_given(models: Path, tmp_path: Path) -> None:
    given = write_whisper(tmp_path / "given")
    (given / "config.json").write_text("{")
    with pytest.raises(ModelError) as caught:
        add_local(models, given)
    assert str(given / "config.json") in str(caught.value)
    assert str(models) not in str(caught.value)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda p: (p / "model.bin").write_bytes(b"nothing"), "no CTranslate2 model"),
        (lambda p: os.truncate(p / "model.bin", 90), "it ends "),
        (lambda p: write_whisper(p, kind="TransformerSpec"), "no model of Whisper"),
        (lambda p: (p / "tokenizer.json").unlink(), "without tokenizer.json"),
        (lambda p: (p / "vocabulary.json").unlink(), "without vocabulary.json or vocabulary.txt"),
        (lambda p: (p / "config.json").write_text("{"), "config.json is not JSON"),
        (lambda p: write_gguf(p / "x.gguf"), ""),
        (lambda p: [f.unlink() for f in p.iterdir()], "has no model: voiced takes"),
    ],
)
def test_a_whisper_model_that_is_none(
    spoil: Callable[[Path], object], says: str, models: Path, tmp_path: Path
) -> None:
    given = write_whisper(tmp_path / "given")
    spoil(given)
    if not says:
        assert add_local(models, given).engine == "whisper"
        return
    with pytest.raises(ModelError, match=says) as caught:
        add_local(models, given)
    assert "\n" not in str(caught.value)
    assert nothing_there(models)


@pytest.mark.parametrize(
    ("cut", "says"),
    [
        (2, "is no GGUF model"),
        (40, "is damaged: the file ends within its header"),
        (-1, "the last 1 bytes are missing"),
        (None, "not a language model"),
    ],
)
def test_a_gguf_that_is_none(cut: int | None, says: str, models: Path, tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "x.gguf", architecture="clip" if cut is None else "llama")
    data = path.read_bytes()
    path.write_bytes(data[:cut])
    with pytest.raises(ModelError, match=says) as caught:
        add_local(models, path)
    assert f" {path} " in f" {caught.value} ".replace(",", " "), "named as it was given"
    assert nothing_there(models)


def test_a_voice_that_is_cut_off_or_something_else(models: Path, tmp_path: Path) -> None:
    path = write_voice(tmp_path, "v")
    data = path.read_bytes()
    for bad in (data[:-1], data[: len(data) // 2], b"GGUF", b"<html>", b""):
        path.write_bytes(bad)
        with pytest.raises(ModelError, match=rf"^{re.escape(str(path))} is no ONNX file"):
            add_local(models, path)
    path.write_bytes(data)
    path.with_name("v.onnx.json").write_text("[]")
    with pytest.raises(ModelError, match="does not describe a Piper voice"):
        add_local(models, path)
    path.with_name("v.onnx.json").unlink()
    with pytest.raises(ModelError, match=r"without v\.onnx\.json"):
        add_local(models, path)
    assert nothing_there(models)


def test_of_several_models_one_has_to_be_named(models: Path, tmp_path: Path) -> None:
    given = tmp_path / "many"
    given.mkdir()
    for name in ("a", "b"):
        write_gguf(given / f"{name}.gguf")
    with pytest.raises(ModelError, match=r"name one of them: a\.gguf, b\.gguf"):
        add_local(models, given)


@pytest.mark.parametrize("name", ["../x", "/x", ".x", "a/b", "x+y", "x\n", "", "a" * 121])
def test_a_name_stays_in_the_directory(name: str, models: Path, tmp_path: Path) -> None:
    path = write_gguf(tmp_path / ("..gguf" if not name else "fine.gguf"))
    with pytest.raises(UsageError, match="cannot be a model's name"):
        add_local(models, path, name=name)
    assert nothing_there(models)


def test_a_name_that_can_be_is_proposed(models: Path, tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "my model (1).gguf")
    with pytest.raises(UsageError, match="`--name my-model-1` gives another"):
        add_local(models, path)
    assert add_local(models, path, name="my-model-1").name == "my-model-1"
    with pytest.raises(UsageError, match="; --name gives another"):
        add_local(models, path, name="モデル")


def test_a_name_that_is_taken(models: Path, tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "x.gguf")
    add_local(models, path)
    with pytest.raises(UsageError, match="there is a model x already"):
        add_local(models, path)
    assert add_local(models, path, name="y").name == "y"


def test_a_wrong_checksum_of_a_file_here(models: Path, tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "x.gguf")
    with pytest.raises(ModelError, match="instead of 0000"):
        add_local(models, path, sha256="0" * 64)
    assert nothing_there(models)
    right = hashlib.sha256(path.read_bytes()).hexdigest()
    assert add_local(models, path, sha256=right.upper()).name == "x"


def test_an_interrupted_copy_leaves_nothing(models: Path, tmp_path: Path) -> None:
    request = Request(source=parse_source(str(write_gguf(tmp_path / "x.gguf"))))

    def interrupt(done: float, total: float | None, doing: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Installer(models).add_local(request, interrupt)
    assert nothing_there(models)


def test_a_directory_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot write to"):
        add_local(tmp_path / "file" / "models", write_gguf(tmp_path / "x.gguf"))


# -- over the network --------------------------------------------------------------------------


async def test_a_file_from_an_address(server: FileServer, models: Path, gguf_bytes: bytes) -> None:
    server.files["/a/small%20one.gguf"] = gguf_bytes
    with pytest.raises(UsageError, match="`--name small-one` gives another"):
        await add(models, f"{server.url}/a/small%20one.gguf")
    manifest = await add(models, f"{server.url}/a/small%20one.gguf", name="small-one")
    assert manifest.main == "small one.gguf"
    assert (models / "small-one" / "small one.gguf").read_bytes() == gguf_bytes
    assert not (models / STAGING).exists()


async def test_a_voice_brings_its_description(
    server: FileServer, models: Path, tmp_path: Path
) -> None:
    path = write_voice(tmp_path, "v")
    server.files["/v.onnx"] = path.read_bytes()
    server.files["/v.onnx.json"] = path.with_name("v.onnx.json").read_bytes()
    manifest = await add(models, f"{server.url}/v.onnx?download=true")
    assert [file.path for file in manifest.files] == ["v.onnx", "v.onnx.json"]
    assert manifest.engine == "piper"


async def test_a_cut_connection_is_taken_up_where_it_ended(
    server: FileServer, models: Path, gguf_bytes: bytes
) -> None:
    server.files["/m.gguf"] = gguf_bytes
    server.cuts, server.cut_after = 3, 1_000
    await add(models, f"{server.url}/m.gguf")
    assert server.served("/m.gguf") == [None, "bytes=1000-", "bytes=2000-", "bytes=3000-"]
    assert (models / "m" / "m.gguf").read_bytes() == gguf_bytes


async def test_what_a_failed_run_left_the_next_one_continues(
    server: FileServer, models: Path, gguf_bytes: bytes
) -> None:
    server.files["/m.gguf"] = gguf_bytes
    server.cuts, server.cut_after = 1, 5_000
    server.statuses["/m.gguf"] = []

    def busy_after_the_cut() -> None:
        server.statuses["/m.gguf"] = [503] * 3

    class Files(dict[str, bytes]):
        def __getitem__(self, path: str) -> bytes:
            busy_after_the_cut()
            return super().__getitem__(path)

    server.files = Files(server.files)
    with pytest.raises(
        DownloadError, match="answered 503; the same command continues after 5000 b"
    ):
        await add(models, f"{server.url}/m.gguf")
    assert parts(models) == {"m.gguf": 5_000}
    server.statuses.clear()
    server.files = dict(server.files)
    server.asked.clear()
    await add(models, f"{server.url}/m.gguf")
    assert server.served("/m.gguf") == ["bytes=5000-"]
    assert not (models / STAGING).exists()


async def test_a_file_that_has_changed_meanwhile_is_fetched_anew(
    server: FileServer, models: Path, gguf_bytes: bytes
) -> None:
    await leave_a_part(server, models, gguf_bytes)
    server.files["/m.gguf"] = changed = gguf_bytes[:-4] + b"\0\0\0\0"
    await add(models, f"{server.url}/m.gguf")
    assert server.served("/m.gguf")[-1] == "bytes=5000-"  # asked for, with the old tag
    assert (models / "m" / "m.gguf").read_bytes() == changed


async def test_a_server_that_sends_the_rest_of_another_file_is_not_believed(
    server: FileServer, models: Path, gguf_bytes: bytes
) -> None:
    server.minds_if_range = False
    await leave_a_part(server, models, gguf_bytes)
    server.files["/m.gguf"] = changed = gguf_bytes[:-4] + b"\0\0\0\0"
    await add(models, f"{server.url}/m.gguf")
    assert server.served("/m.gguf") == [None, "bytes=5000-", None]
    assert (models / "m" / "m.gguf").read_bytes() == changed


async def test_a_part_that_was_all_of_it_is_not_fetched_again(
    server: FileServer, models: Path, gguf_bytes: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.files["/m.gguf"] = gguf_bytes

    def interrupt(directory: Path, shape: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("voiced.models.install.examine", interrupt)
        with pytest.raises(KeyboardInterrupt):
            await add(models, f"{server.url}/m.gguf")
    assert parts(models) == {"m.gguf": len(gguf_bytes)}
    await add(models, f"{server.url}/m.gguf")
    assert server.served("/m.gguf") == [None, f"bytes={len(gguf_bytes)}-"]
    assert (models / "m" / "m.gguf").read_bytes() == gguf_bytes


async def leave_a_part(server: FileServer, models: Path, data: bytes, sha256: str = "") -> None:
    """Cancel in the middle, as Ctrl-C does."""
    server.files["/m.gguf"] = data
    server.hang_after = 5_000
    async with trio.open_nursery() as nursery:

        async def cancel_once_it_hangs() -> None:
            while parts(models).get("m.gguf") != 5_000:  # noqa: ASYNC110 - only the file tells
                await trio.sleep(0.01)
            nursery.cancel_scope.cancel()

        nursery.start_soon(cancel_once_it_hangs)
        await add(models, f"{server.url}/m.gguf", sha256=sha256)
    server.hang_after = None
    assert parts(models) == {"m.gguf": 5_000}
    assert not (models / "m").exists()


async def test_cancelling_leaves_a_part_to_continue(
    server: FileServer, models: Path, gguf_bytes: bytes
) -> None:
    await leave_a_part(server, models, gguf_bytes)
    await add(models, f"{server.url}/m.gguf")
    assert server.served("/m.gguf") == [None, "bytes=5000-"]
    assert (models / "m" / "m.gguf").read_bytes() == gguf_bytes


async def test_a_server_without_ranges_begins_anew(
    server: FileServer, models: Path, gguf_bytes: bytes
) -> None:
    server.ranges = False
    await leave_a_part(server, models, gguf_bytes)
    await add(models, f"{server.url}/m.gguf")
    assert (models / "m" / "m.gguf").read_bytes() == gguf_bytes


async def test_without_tag_or_checksum_nothing_is_continued(
    server: FileServer, models: Path, gguf_bytes: bytes
) -> None:
    server.tags = False
    await leave_a_part(server, models, gguf_bytes)
    await add(models, f"{server.url}/m.gguf")
    assert server.served("/m.gguf") == [None, None]


async def test_with_a_checksum_no_tag_is_needed(
    server: FileServer, models: Path, gguf_bytes: bytes
) -> None:
    server.tags = False
    sha256 = hashlib.sha256(gguf_bytes).hexdigest()
    await leave_a_part(server, models, gguf_bytes, sha256)
    await add(models, f"{server.url}/m.gguf", sha256=sha256)
    assert server.served("/m.gguf") == [None, "bytes=5000-"]


async def test_a_part_that_proves_wrong_costs_one_more_fetch(
    server: FileServer, models: Path, gguf_bytes: bytes
) -> None:
    server.tags = False
    sha256 = hashlib.sha256(gguf_bytes).hexdigest()
    await leave_a_part(server, models, b"\0" * len(gguf_bytes), sha256)
    server.files["/m.gguf"] = gguf_bytes
    await add(models, f"{server.url}/m.gguf", sha256=sha256)
    assert server.served("/m.gguf") == [None, "bytes=5000-", None]


async def test_a_wrong_checksum_leaves_nothing(
    server: FileServer, models: Path, gguf_bytes: bytes
) -> None:
    server.files["/m.gguf"] = gguf_bytes
    with pytest.raises(DownloadError, match=r"m\.gguf has the SHA-256 [0-9a-f]{64} instead of 00"):
        await add(models, f"{server.url}/m.gguf", sha256="0" * 64)
    assert nothing_there(models)


async def test_a_full_disk_is_noticed_before_anything_is_fetched(
    server: FileServer, models: Path, gguf_bytes: bytes
) -> None:
    server.files["/m.gguf"] = gguf_bytes
    room = RESERVE_BYTES + len(gguf_bytes)
    with pytest.raises(StorageFull, match="no room in"):
        await add(models, f"{server.url}/m.gguf", free_bytes=lambda _: room - 1)
    assert nothing_there(models)
    await add(models, f"{server.url}/m.gguf", free_bytes=lambda _: room)


async def test_a_disk_that_fills_up_on_the_way(
    server: FileServer, models: Path, gguf_bytes: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.files["/m.gguf"] = gguf_bytes
    append = Part.append

    def fill_up(part: Part, data: bytes) -> None:
        append(part, data[:3_000])
        raise part._failure(OSError(errno.ENOSPC, "No space left on device"))

    monkeypatch.setattr(Part, "append", fill_up)
    with pytest.raises(StorageFull, match=r"no room for m\.gguf after 3000 bytes"):
        await add(models, f"{server.url}/m.gguf")
    assert parts(models) == {"m.gguf": 3_000}
    monkeypatch.undo()
    await add(models, f"{server.url}/m.gguf")
    assert server.served("/m.gguf")[-1] == "bytes=3000-"


@pytest.mark.parametrize(
    ("status", "says"),
    [(404, "is not there"), (401, "is not for everybody"), (403, "signed in"), (418, "418")],
)
async def test_a_server_that_refuses(
    status: int, says: str, server: FileServer, models: Path
) -> None:
    server.statuses["/m.gguf"] = [status]
    with pytest.raises(DownloadError, match=says):
        await add(models, f"{server.url}/m.gguf")
    assert len(server.asked) == 1
    assert nothing_there(models)


async def test_a_busy_server_is_asked_again(
    server: FileServer, models: Path, gguf_bytes: bytes
) -> None:
    server.files["/m.gguf"] = gguf_bytes
    server.statuses["/m.gguf"] = [503, 429]
    await add(models, f"{server.url}/m.gguf")
    assert len(server.asked) == 3


async def test_nobody_answers(models: Path) -> None:
    with pytest.raises(DownloadError, match=r"cannot fetch http://127.*refused"):
        await add(models, "http://127.0.0.1:9/m.gguf")
    assert nothing_there(models)


async def test_a_file_of_unknown_length_could_be_cut_off(
    server: FileServer, models: Path, gguf_bytes: bytes
) -> None:
    server.files["/m.gguf"] = gguf_bytes
    server.lengths = False
    with pytest.raises(DownloadError, match="does not tell how long"):
        await add(models, f"{server.url}/m.gguf")
    assert nothing_there(models)


async def test_a_page_in_place_of_a_model(server: FileServer, models: Path) -> None:
    server.files["/m.gguf"] = b"<html>Please sign in</html>"
    with pytest.raises(ModelError, match="it is a web page"):
        await add(models, f"{server.url}/m.gguf")
    assert nothing_there(models)


async def test_redirects_are_followed(server: FileServer, models: Path, gguf_bytes: bytes) -> None:
    server.redirects["/m.gguf"] = "/elsewhere"
    server.redirects["/elsewhere"] = f"{server.url}/blob"
    server.files["/blob"] = gguf_bytes
    server.cuts, server.cut_after = 1, 1_000
    manifest = await add(models, f"{server.url}/m.gguf")
    assert server.served("/blob") == [None, "bytes=1000-"]
    assert manifest.source == f"{server.url}/m.gguf"


@pytest.mark.parametrize(
    "there", ["http://192.0.2.1/m.gguf", "ftp://127.0.0.1/m", "file:///etc/passwd", "//[", ""]
)
async def test_redirects_to_what_is_not_safe_are_not(
    there: str, server: FileServer, models: Path
) -> None:
    server.redirects["/m.gguf"] = there or "/m.gguf"
    says = "not https" if there else "on and on"
    with pytest.raises(DownloadError, match=says):
        await add(models, f"{server.url}/m.gguf")
    assert nothing_there(models)


async def test_over_tls(
    server: FileServer,
    models: Path,
    gguf_bytes: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    certified = certify(tmp_path / "tls")
    with serving(certified) as secure:
        secure.files["/m.gguf"] = server.files["/m.gguf"] = gguf_bytes
        with pytest.raises(DownloadError, match="certificate verify failed"):
            await add(models, f"{secure.url}/m.gguf")
        monkeypatch.setenv("SSL_CERT_FILE", str(certified.ca))
        secure.redirects["/plain.gguf"] = f"{server.url}/m.gguf"
        with pytest.raises(DownloadError, match="sends on to an address that is not https"):
            await add(models, f"{secure.url}/plain.gguf")
        assert not server.asked
        await add(models, f"{secure.url}/m.gguf")
    assert (models / "m" / "m.gguf").read_bytes() == gguf_bytes


async def test_two_at_once_do_not_mix(server: FileServer, models: Path) -> None:
    source = f"{server.url}/m.gguf"
    with open_staging(models, source, keep=True), pytest.raises(UsageError, match="by another"):
        await add(models, source)
    with pytest.raises(DownloadError, match="not there"):
        await add(models, source)
    assert nothing_there(models)


# -- from the hub ------------------------------------------------------------------------------


async def test_a_repository_of_the_hub(server: FileServer, models: Path, tmp_path: Path) -> None:
    given = write_whisper(tmp_path / "w")
    (given / "model.bin").write_bytes((given / "model.bin").read_bytes())
    files = {file.name: file.read_bytes() for file in given.iterdir()}
    commit = server.add_repository("Sys/faster-whisper-tiny", files, license="mit")
    manifest = await add(models, "hf:Sys/faster-whisper-tiny", server)
    assert manifest.name == "faster-whisper-tiny"
    assert manifest.source == f"hf:Sys/faster-whisper-tiny@{commit}"
    assert manifest.licence == "mit"
    assert "README.md" not in {file.path for file in manifest.files}


async def test_a_file_of_a_repository(server: FileServer, models: Path, tmp_path: Path) -> None:
    path = write_voice(tmp_path, "v")
    files = {
        "en/v.onnx": path.read_bytes(),
        "en/v.onnx.json": path.with_name("v.onnx.json").read_bytes(),
        "de/w.onnx": b"other",
    }
    server.add_repository("o/voices", files)
    for source, name in (("hf:o/voices/en/v.onnx", "v"), ("hf:o/voices@main/en", "x")):
        manifest = await add(models, source, server, name=name)
        assert [file.path for file in manifest.files] == ["v.onnx", "v.onnx.json"]
    with pytest.raises(ModelError, match=r"name one of them: de/w\.onnx, en/v\.onnx"):
        await add(models, "hf:o/voices", server)
    with pytest.raises(DownloadError, match=r"has no file en/x\.onnx at main"):
        await add(models, "hf:o/voices/en/x.onnx", server)


async def test_what_the_hub_says_of_a_file_must_be_true(
    server: FileServer, models: Path, gguf_bytes: bytes, tmp_path: Path
) -> None:
    commit = server.add_repository("o/m", {"m.gguf": gguf_bytes})
    server.files[f"/o/m/resolve/{commit}/m.gguf"] = gguf_bytes[:-1] + b"!"
    with pytest.raises(DownloadError, match="has the SHA-256"):
        await add(models, "hf:o/m", server)
    server.files[f"/o/m/resolve/{commit}/m.gguf"] = gguf_bytes + b"?"
    with pytest.raises(DownloadError, match="bytes instead of"):
        await add(models, "hf:o/m", server)
    files = {file.name: file.read_bytes() for file in write_whisper(tmp_path / "w").iterdir()}
    commit = server.add_repository("o/w", files)
    server.files[f"/o/w/resolve/{commit}/config.json"] = b"[]"
    with pytest.raises(DownloadError, match="Git checksum differs"):
        await add(models, "hf:o/w", server)
    assert "config.json" not in parts(models)
    with pytest.raises(UsageError, match="the hub says that"):
        await add(models, "hf:o/m", server, sha256="0" * 64)
    assert not ModelsDirectory(models).look().models


async def test_whole_files_of_an_interrupted_model_are_not_fetched_again(
    server: FileServer, models: Path, tmp_path: Path
) -> None:
    files = {file.name: file.read_bytes() for file in write_whisper(tmp_path / "w").iterdir()}
    commit = server.add_repository("o/w", files)
    place = f"/o/w/resolve/{commit}/"
    server.statuses[f"{place}model.bin"] = [500] * 3
    with pytest.raises(DownloadError, match="the server answered 500"):
        await add(models, "hf:o/w", server)
    await add(models, "hf:o/w@main", server)
    assert len(server.served(f"{place}config.json")) == 1


async def test_an_answer_that_is_not_the_hubs(server: FileServer, models: Path) -> None:
    server.files["/api/models/o/m/revision/main"] = b"<html>"
    with pytest.raises(DownloadError, match="does not answer as the hub does"):
        await add(models, "hf:o/m", server)
    with pytest.raises(DownloadError, match=r"hf:o/n@main is not there"):
        await add(models, "hf:o/n", server)


async def test_paths_of_a_repository_stay_in_the_model(
    server: FileServer, models: Path, gguf_bytes: bytes
) -> None:
    server.add_repository("o/m", {"../../m.gguf": gguf_bytes, "/etc/m.gguf": gguf_bytes})
    with pytest.raises(VoicedError, match="has no model"):
        await add(models, "hf:o/m", server)
    assert nothing_there(models)


# -- what is installed is what engines load ------------------------------------------------------


def test_a_model_written_by_ctranslate2_is_installed_and_loaded(
    models: Path, tmp_path: Path
) -> None:
    add_local(models, write_listener(tmp_path / "listener"))
    options = {"models_directory": str(models), "language": "en", "compute_type": "float32"}
    assert WhisperEngine({**options, "model": "Listener"}).load().model == "listener"


def test_a_voice_is_installed_under_another_name_and_loaded(models: Path, tmp_path: Path) -> None:
    add_local(models, write_voice(tmp_path, "v", speakers=("a", "b")), name="mine")
    info = PiperEngine({"voice": "mine+b", "models_directory": str(models)}).load()
    assert info.voices == ("mine", "mine+a", "mine+b")
