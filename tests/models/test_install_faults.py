"""What may go wrong while a model comes or goes: nothing is lost, and it is told in one line."""

from __future__ import annotations

import fcntl
import http.server
import json
import os
import signal
from typing import TYPE_CHECKING

import pytest
import trio

from tests.cli.commands import run_voiced
from tests.models.small_models import write_gguf, write_whisper
from tests.models.test_install import add, add_local, leave_a_part, nothing_there, parts
from tests.patience import CEILING_S
from voiced.errors import DownloadError, StorageFull, UsageError
from voiced.models import install
from voiced.models.directory import REMOVED, ModelsDirectory
from voiced.models.install import RESERVE_BYTES
from voiced.models.manifest import write_manifest
from voiced.models.part import Part
from voiced.models.source import parse_source
from voiced.models.staging import STAGING, open_staging

if TYPE_CHECKING:
    from pathlib import Path

    from tests.models.file_server import FileServer
    from voiced.models.directory import Model
    from voiced.models.manifest import Manifest


@pytest.fixture
def gguf(tmp_path: Path) -> Path:
    return write_gguf(tmp_path / "source.gguf")


@pytest.fixture
def data(gguf: Path) -> bytes:
    return gguf.read_bytes()


# -- addresses and the environment -------------------------------------------------------------


@pytest.mark.parametrize("port", ["99999", "abc", "-1"])
def test_a_port_that_is_none_is_no_address(port: str) -> None:
    with pytest.raises(UsageError, match="is no address"):
        parse_source(f"https://127.0.0.1:{port}/m.gguf")


@pytest.mark.parametrize("host", ["a" * 70 + ".invalid", "h..invalid", "ü\u200b.invalid"])
async def test_a_host_that_is_none_is_no_address(host: str, models: Path) -> None:
    with pytest.raises(DownloadError, match="is no address"):
        await add(models, f"https://{host}/m.gguf")
    assert nothing_there(models)


async def test_a_redirect_to_what_is_no_address(server: FileServer, models: Path) -> None:
    server.redirects["/m.gguf"] = f"http://127.0.0.1:1/{'x' * 70_000}"
    with pytest.raises(DownloadError, match="is no address") as caught:
        await add(models, f"{server.url}/m.gguf")
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("variable", "value"),
    [("SSL_CERT_FILE", "/no/such/file"), ("HTTPS_PROXY", "foo://x"), ("HTTP_PROXY", "socks5://x")],
)
async def test_an_environment_that_cannot_be_used(
    variable: str, value: str, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(DownloadError, match=rf"the environment's .*{variable}|HTTPS_PROXY and"):
        await add(models, "https://127.0.0.1:9/m.gguf")


async def test_why_nobody_answers_is_told(models: Path) -> None:
    with pytest.raises(DownloadError, match="Connection refused"):
        await add(models, "http://127.0.0.1:9/m.gguf")


def test_a_key_in_an_address_is_not_written_down() -> None:
    source = parse_source("https://example.org/a/m.gguf?token=s3cret#part")
    assert str(source).endswith("?token=s3cret#part")
    assert getattr(source, "public", "") == "https://example.org/a/m.gguf"


async def test_the_manifest_has_the_address_without_its_query(
    server: FileServer, models: Path, data: bytes
) -> None:
    server.files["/m.gguf"] = data
    manifest = await add(models, f"{server.url}/m.gguf?token=s3cret")
    assert manifest.source == f"{server.url}/m.gguf"
    described = await trio.Path(models / "m" / "voiced-model.json").read_text()
    assert "s3cret" not in described


# -- what servers send -------------------------------------------------------------------------


async def test_what_was_compressed_on_the_way_is_not_taken(
    server: FileServer, models: Path, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.files["/m.gguf"] = data
    end = http.server.BaseHTTPRequestHandler.end_headers

    def compress(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_header("content-encoding", "gzip")
        end(handler)

    monkeypatch.setattr(http.server.BaseHTTPRequestHandler, "end_headers", compress)
    with pytest.raises(DownloadError, match="the server compresses it"):
        await add(models, f"{server.url}/m.gguf")
    assert nothing_there(models)


async def test_a_file_that_does_not_end_leaves_the_reserve(
    server: FileServer, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In chunks, of which nobody knows how many will come."""

    def stream(handler: http.server.BaseHTTPRequestHandler, files: FileServer) -> None:
        handler.send_response(200)
        handler.send_header("transfer-encoding", "chunked")
        handler.end_headers()
        try:
            while not files.ended.is_set():
                handler.wfile.write(b"10000\r\n" + bytes(1 << 16) + b"\r\n")
        except OSError:
            handler.close_connection = True

    monkeypatch.setattr("tests.models.file_server.answer", stream)

    def free_bytes(where: Path) -> int:
        return RESERVE_BYTES + (1 << 20) - parts(models).get("m.gguf", 0)

    with pytest.raises(StorageFull, match="no room in"):
        await add(models, f"{server.url}/m.gguf", free_bytes=free_bytes)
    assert 0 < parts(models)["m.gguf"] <= 1 << 20


async def test_what_a_model_says_of_itself_is_no_command_to_a_terminal(
    server: FileServer, models: Path, data: bytes
) -> None:
    server.add_repository("o/m", {"m.gguf": data}, license="\x1b[2Jmit\n" + "x" * 999)
    manifest = await add(models, "hf:o/m", server)
    assert manifest.licence.isprintable()
    assert manifest.licence.startswith("[2Jmit x")
    assert len(manifest.licence) <= 200


# -- interruptions -----------------------------------------------------------------------------


async def test_who_is_interrupted_before_it_has_looked_keeps_the_part(
    server: FileServer, models: Path, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    await leave_a_part(server, models, data)

    def interrupt(part: Part) -> bool:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Part, "read_on", interrupt)
        with pytest.raises(KeyboardInterrupt):
            await add(models, f"{server.url}/m.gguf")
    assert parts(models) == {"m.gguf": 5_000}
    await add(models, f"{server.url}/m.gguf")
    assert server.served("/m.gguf")[-1] == "bytes=5000-"


async def test_who_is_ended_as_the_model_is_described_keeps_it(
    server: FileServer, models: Path, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a full disk, or a KILL: what is known of the parts goes last."""
    server.files["/m.gguf"] = data

    def end(directory: Path, manifest: Manifest) -> None:
        write_manifest(directory, manifest)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(install, "write_manifest", end)
        with pytest.raises(KeyboardInterrupt):
            await add(models, f"{server.url}/m.gguf")
    await add(models, f"{server.url}/m.gguf")
    assert server.served("/m.gguf") == [None, f"bytes={len(data)}-"]
    assert sorted(path.name for path in (models / "m").iterdir()) == ["m.gguf", "voiced-model.json"]


async def test_who_is_killed_leaves_a_part_to_continue(
    server: FileServer, tmp_path: Path, data: bytes
) -> None:
    server.files["/m.gguf"] = data
    server.hang_after = 4_000
    models = tmp_path / "state" / "models"
    command = ("models", "add", f"{server.url}/m.gguf")
    with trio.fail_after(CEILING_S):
        async with trio.open_nursery() as nursery:

            async def kill() -> None:
                while parts(models).get("m.gguf") != 4_000:  # noqa: ASYNC110 - only the file tells
                    await trio.sleep(0.01)
                (lock,) = (models / STAGING).glob("*.lock")
                os.kill(holder_of(lock), signal.SIGKILL)

            nursery.start_soon(kill)
            done = await run_voiced(*command, STATE_DIRECTORY=str(tmp_path / "state"))
    assert done.returncode == -signal.SIGKILL
    assert parts(models)["m.gguf"] == 4_000
    server.hang_after = None
    done = await run_voiced(*command, STATE_DIRECTORY=str(tmp_path / "state"))
    assert (done.returncode, done.stderr) == (0, b"")
    assert server.served("/m.gguf") == [None, "bytes=4000-"]
    assert (models / "m" / "m.gguf").read_bytes() == data
    assert not (models / STAGING).exists()


def holder_of(lock: Path) -> int:
    """The process with a lock on that file, by the kernel's list of them."""
    inode = str(lock.stat().st_ino)
    with open("/proc/locks", encoding="ascii") as locks:
        fields = [line.split() for line in locks]
    (pid,) = {int(field[4]) for field in fields if field[5].rpartition(":")[2] == inode}
    return pid


# -- two at once -------------------------------------------------------------------------------


def test_a_lock_that_was_deleted_is_nobodys(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who held it before deletes its file between our opening and our locking it."""
    flock = fcntl.flock
    deleted: list[Path] = []

    def delete_first(descriptor: int, operation: int) -> None:
        if not deleted:
            deleted.extend((models / STAGING).glob("*.lock"))
            deleted[0].unlink()
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", delete_first)
    with (
        open_staging(models, "x", keep=True),
        pytest.raises(UsageError, match="by another process"),
        open_staging(models, "x", keep=True),
    ):
        pass
    assert len(deleted) == 1
    assert nothing_there(models)


def test_of_two_with_one_name_the_second_is_told(
    models: Path, gguf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def another(directory: Path, manifest: Manifest) -> None:
        (models / "mine").mkdir()
        (models / "mine" / "first").touch()
        write_manifest(directory, manifest)

    monkeypatch.setattr(install, "write_manifest", another)
    with pytest.raises(UsageError, match="there is a model mine already"):
        add_local(models, gguf, name="mine")
    assert [path.name for path in (models / "mine").iterdir()] == ["first"]


# -- removing ----------------------------------------------------------------------------------


def only(models: Path) -> Model:
    (model,) = ModelsDirectory(models).look().models
    return model


def test_a_directory_of_the_name_of_a_loose_file_stays(models: Path) -> None:
    models.mkdir()
    write_gguf(models / "x.gguf")
    (models / "x").mkdir()
    (models / "x" / "notes").touch()
    ModelsDirectory(models).remove(only(models))
    assert (models / "x" / "notes").exists()
    assert not (models / "x.gguf").exists()


def test_of_a_model_that_is_a_link_the_link_goes(models: Path, tmp_path: Path) -> None:
    models.mkdir()
    real = write_whisper(tmp_path / "real")
    (models / "linked").symlink_to(real)
    ModelsDirectory(models).remove(only(models))
    assert nothing_there(models)
    assert (real / "model.bin").exists()


def test_what_a_removal_left_half_done_goes_with_the_next(models: Path, gguf: Path) -> None:
    left = models / f"{REMOVED}1-old"
    left.mkdir(parents=True)
    (left / "model.bin").touch()
    add_local(models, gguf)
    ModelsDirectory(models).remove(only(models))
    assert nothing_there(models)


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a/../../x", ".x", "voiced-model.json"])
def test_a_manifest_that_names_files_elsewhere_is_a_fault(
    path: str, models: Path, gguf: Path
) -> None:
    add_local(models, gguf)
    described = models / "source" / "voiced-model.json"
    data = json.loads(described.read_bytes())
    data["files"][0]["path"] = data["main"] = path
    described.write_text(json.dumps(data))
    listing = ModelsDirectory(models).look()
    assert not listing.models
    assert "files that are not the model's" in listing.faults[0]


async def test_a_state_directory_that_cannot_be_made(gguf: Path) -> None:
    done = await run_voiced("models", "add", str(gguf), STATE_DIRECTORY="/proc/nowhere")
    assert done.returncode == 1
    assert done.stderr.count(b"\n") == 1
    assert b"the state directory /proc/nowhere cannot be made" in done.stderr
