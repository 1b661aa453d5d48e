"""A server of files on loopback, in the ways that real ones behave, and misbehave."""

from __future__ import annotations

import hashlib
import http.server
import json
import re
import ssl
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.certificates import Certified


class FileServer:
    """What is served, and what was asked. A test changes it between requests.

    `cuts` ends that many answers after `cut_after` bytes of the body; `hang_after` stops sending
    after so many and keeps the connection, until `close`.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.redirects: dict[str, str] = {}
        self.statuses: dict[str, list[int]] = {}
        self.ranges = True
        self.tags = True
        self.minds_if_range = True
        self.lengths = True
        self.cuts = 0
        self.cut_after = 0
        self.hang_after: int | None = None
        self.ended = threading.Event()
        self.asked: list[tuple[str, str | None]] = []
        self.url = ""

    def served(self, path: str) -> list[str | None]:
        """The Range of each request for `path`."""
        return [ranges for asked, ranges in self.asked if asked == path]

    def add_repository(self, name: str, files: dict[str, bytes], **card: str) -> str:
        """Serve a repository as the Hugging Face hub does; returns its commit."""
        commit = hashlib.sha1(repr(sorted(files.items())).encode()).hexdigest()
        siblings = []
        for path, data in files.items():
            entry: dict[str, Any] = {"rfilename": path, "size": len(data)}
            entry["blobId"] = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
            if len(data) > 1_000:
                sha256 = hashlib.sha256(data).hexdigest()
                entry["lfs"] = {"sha256": sha256, "size": len(data), "pointerSize": 134}
            siblings.append(entry)
            self.files[f"/{name}/resolve/{commit}/{path}"] = data
        about = {"sha": commit, "siblings": siblings, "cardData": card}
        for revision in ("main", commit):
            self.files[f"/api/models/{name}/revision/{revision}"] = json.dumps(about).encode()
        return commit


@contextmanager
def serving(certified: Certified | None = None) -> Iterator[FileServer]:
    """A server for the time of a test, over TLS with a certificate."""
    files = FileServer()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            answer(self, files)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if certified is not None:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(certified.cert, certified.key)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        scheme = "https" if certified else "http"
        files.url = f"{scheme}://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield files
        finally:
            files.ended.set()
            server.shutdown()
            thread.join()


def answer(request: http.server.BaseHTTPRequestHandler, files: FileServer) -> None:
    path = request.path.partition("?")[0]
    files.asked.append((path, request.headers.get("range")))
    if there := files.redirects.get(path):
        request.send_response(302)
        request.send_header("location", there)
        request.send_header("content-length", "0")
        request.end_headers()
        return
    if files.statuses.get(path):
        request.send_response(files.statuses[path].pop(0))
        request.send_header("content-length", "0")
        request.end_headers()
        return
    if path not in files.files:
        request.send_response(404)
        request.send_header("content-length", "0")
        request.end_headers()
        return
    send_file(request, files, files.files[path])


def send_file(request: http.server.BaseHTTPRequestHandler, files: FileServer, data: bytes) -> None:
    tag = f'"{hashlib.md5(data).hexdigest()}"'
    begin = 0
    asked = re.fullmatch(r"bytes=(\d+)-", request.headers.get("range") or "")
    fits = not files.minds_if_range or request.headers.get("if-range", tag) == tag
    if files.ranges and asked and fits:
        begin = int(asked[1])
        if begin >= len(data):
            request.send_response(416)
            request.send_header("content-range", f"bytes */{len(data)}")
            request.send_header("content-length", "0")
            request.end_headers()
            return
        request.send_response(206)
        request.send_header("content-range", f"bytes {begin}-{len(data) - 1}/{len(data)}")
    else:
        request.send_response(200)
    if files.tags:
        request.send_header("etag", tag)
    body = data[begin:]
    if files.lengths:
        request.send_header("content-length", str(len(body)))
    else:
        request.send_header("connection", "close")
        request.close_connection = True
    request.end_headers()
    send_body(request, files, body)


def send_body(request: http.server.BaseHTTPRequestHandler, files: FileServer, body: bytes) -> None:
    try:
        if files.cuts and len(body) > files.cut_after:
            files.cuts -= 1
            request.wfile.write(body[: files.cut_after])
            request.close_connection = True
        elif files.hang_after is not None and len(body) > files.hang_after:
            request.wfile.write(body[: files.hang_after])
            request.wfile.flush()
            files.ended.wait()
            request.close_connection = True
        else:
            request.wfile.write(body)
    except OSError:
        request.close_connection = True  # whoever asked has gone
