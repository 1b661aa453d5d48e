"""`/v1/jobs` over HTTP: handed in, looked at, cancelled, and results fetched whole or in part."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx2
import msgspec
import pytest
from openapi_spec_validator import validate

from tests.jobs.job_helpers import Bench, Count, bench, input_of
from tests.web.harness import Status, make_app, make_settings, running
from voiced.web.openapi import describe

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

EXACTLY = ["device_requested", "device_used", "fallback", "frames", "job_id", "status"]


@asynccontextmanager
async def service(
    state: Path,
    kind: Count | None = None,
    limits: dict[str, Any] | None = None,
    **settings: Any,  # noqa: ANN401 - of several types
) -> AsyncIterator[tuple[httpx2.AsyncClient, Bench]]:
    """A door with jobs behind it, and a client of it."""
    async with bench(state, kind, **settings) as jobs:
        app = make_app(Status(make_settings(limits=limits)), jobs=jobs.desk)
        async with (
            running(app=app) as (_, port),
            httpx2.AsyncClient(base_url=f"http://localhost:{port}", trust_env=False) as client,
        ):
            yield client, jobs


async def hand_in(client: httpx2.AsyncClient, **fields: object) -> str:
    answer = await client.post("/v1/jobs", json={"type": "count", **fields})
    assert answer.status_code == 202, answer.text
    assert answer.headers["Location"] == f"/v1/jobs/{answer.json()['job_id']}"
    job_id: str = answer.json()["job_id"]
    return job_id


def code_of(answer: httpx2.Response) -> tuple[int, str, str | None]:
    error = answer.json()["error"]
    return answer.status_code, error["code"], error["param"]


async def test_a_job_has_exactly_six_fields_and_three_more_where_they_are_asked_for(
    tmp_path: Path,
) -> None:
    async with service(tmp_path, Count(passes=2)) as (client, jobs):
        job_id = await hand_in(client, wrong="warn")
        await jobs.kind.held.wait()
        job = (await client.get(f"/v1/jobs/{job_id}")).json()
        assert sorted(job) == EXACTLY
        assert job["status"] == "running"
        assert job["frames"] == [{"index": 0, "text": "0"}, {"index": 1, "text": "1"}]
        more = (await client.get(f"/v1/jobs/{job_id}/extended")).json()
        assert sorted(more) == sorted([*EXACTLY, "progress", "plugin_timings", "warnings"])
        assert more["progress"] == 66.7
        assert more["plugin_timings"] == {"counter": {"seconds": 1.0, "count": 2}}
        assert more["warnings"] == [{"code": "odd", "message": "One is odd."}]
        new = (await client.get(f"/v1/jobs/{job_id}?after=0")).json()
        assert [frame["index"] for frame in new["frames"]] == [1]
        waiting = await hand_in(client)
        more = (await client.get(f"/v1/jobs/{waiting}/extended")).json()
        assert sorted(more) == EXACTLY  # nothing is known yet
        assert more["device_used"] is None


async def test_a_file_comes_in_a_form(tmp_path: Path) -> None:
    async with service(tmp_path, Count(passes=0)) as (client, jobs):
        content = bytes(range(256)) * 4000
        answer = await client.post(
            "/v1/jobs",
            data={"type": "count", "to": "2", "device": "cpu"},
            files={"file": ("a song.ogg", content)},
        )
        assert answer.status_code == 202, answer.text
        job_id = answer.json()["job_id"]
        assert input_of(tmp_path, job_id).read_bytes() == content
        jobs.kind.let_pass(2)
        assert (await jobs.until(job_id)).device_requested == "cpu"
        assert await jobs.texts(job_id) == ["0", "1"]


async def test_a_form_without_a_file_leaves_none(tmp_path: Path) -> None:
    async with service(tmp_path, Count(passes=0)) as (client, _):
        answer = await client.post("/v1/jobs", files={"type": (None, "count")})
        assert answer.status_code == 202, answer.text
        assert not input_of(tmp_path, answer.json()["job_id"]).exists()


@pytest.mark.parametrize(
    ("fields", "refusal"),
    [
        ({"type": "juggle"}, (400, "invalid_value", "type")),
        ({"type": "count", "to": "many"}, (400, "invalid_value", "to")),
        ({"type": "count", "to": -1}, (400, "integer_below_min_value", "to")),
        ({"type": "count", "too": 3}, (400, "unknown_parameter", "too")),
        ({"type": "count", "to": 13}, (400, "job_failed", None)),
    ],
)
@pytest.mark.parametrize("form", [False, True])
async def test_what_is_no_job_is_refused_and_leaves_nothing(
    tmp_path: Path, fields: dict[str, Any], refusal: tuple[int, str, str | None], form: bool
) -> None:
    async with service(tmp_path) as (client, jobs):
        if form:
            data = {name: str(value) for name, value in fields.items()}
            answer = await client.post("/v1/jobs", data=data, files={"file": ("a", b"b")})
        else:
            answer = await client.post("/v1/jobs", json=fields)
        assert code_of(answer) == refusal
        assert await jobs.desk.ledger.page(limit=9) == []
        assert list((tmp_path / "jobs").iterdir()) == []


async def test_too_many_jobs_and_too_large_files_are_refused(tmp_path: Path) -> None:
    async def send(size: int) -> httpx2.Response:
        file = {"file": ("a", b"x" * size)}
        return await client.post("/v1/jobs", data={"type": "count"}, files=file)

    async with service(tmp_path, Count(passes=0), {"upload_mb": 0.001}, queue=2, disk_mb=0.002) as (
        client,
        _,
    ):
        assert code_of(await send(1100))[:2] == (413, "request_entity_too_large")
        assert (await send(900)).status_code == 202
        assert code_of(await send(990))[:2] == (507, "job_storage_full")
        await hand_in(client)
        answer = await client.post("/v1/jobs", json={"type": "count"})
        assert code_of(answer)[:2] == (429, "job_queue_full")
        assert answer.headers["Retry-After"]


async def test_jobs_are_listed_page_by_page_and_by_state(tmp_path: Path) -> None:
    async with service(tmp_path, Count(passes=3)) as (client, jobs):
        ids = [await hand_in(client) for _ in range(3)]
        await jobs.until(ids[0])
        page = (await client.get("/v1/jobs?limit=2")).json()
        assert [job["job_id"] for job in page["data"]] == [ids[2], ids[1]]
        assert page["has_more"] is True
        page = (await client.get(f"/v1/jobs?limit=2&before={ids[1]}")).json()
        assert [job["job_id"] for job in page["data"]] == [ids[0]]
        assert page["has_more"] is False
        done = (await client.get("/v1/jobs?status=completed")).json()["data"]
        assert [(job["job_id"], job["type"], job["progress"]) for job in done] == [
            (ids[0], "count", 100.0)
        ]
        for bad in ("before=job_x", "status=busy", "limit=0", "limit=x", "limit=1&limit=2"):
            answer = await client.get(f"/v1/jobs?{bad}")
            assert code_of(answer) == (400, "invalid_value", bad.partition("=")[0])


async def test_cancelling_can_be_said_twice_and_purging_forgets(tmp_path: Path) -> None:
    async with service(tmp_path, Count(passes=1)) as (client, jobs):
        job_id = await hand_in(client)
        await jobs.kind.held.wait()
        for _ in range(2):
            answer = await client.delete(f"/v1/jobs/{job_id}")
            assert answer.status_code == 200
            assert sorted(answer.json()) == EXACTLY
            assert answer.json()["status"] == "cancelled"
        answer = await client.delete(f"/v1/jobs/{job_id}?purge=true")
        assert (answer.status_code, answer.content) == (204, b"")
        for method, path in (
            ("GET", ""),
            ("GET", "/extended"),
            ("GET", "/result"),
            ("DELETE", ""),
            ("DELETE", "?purge=true"),
        ):
            answer = await client.request(method, f"/v1/jobs/{job_id}{path}")
            assert code_of(answer) == (404, "job_not_found", "job_id")


async def test_a_failed_job_says_why_as_its_last_warning(tmp_path: Path) -> None:
    async with service(tmp_path) as (client, jobs):
        job_id = await hand_in(client, wrong="disk")
        await jobs.until(job_id)
        more = (await client.get(f"/v1/jobs/{job_id}/extended")).json()
        assert more["warnings"][-1] == {
            "code": "storage_full",
            "message": "The server's disk is full.",
        }
        answer = await client.get(f"/v1/jobs/{job_id}/result")
        assert code_of(answer)[:2] == (409, "job_not_completed")


async def test_a_result_is_fetched_whole_in_part_and_not_twice(tmp_path: Path) -> None:
    async with service(tmp_path) as (client, jobs):
        job_id = await hand_in(client, to=500)
        await jobs.until(job_id)
        path = f"/v1/jobs/{job_id}/result"
        whole = await client.get(path)
        text = " ".join(map(str, range(500))).encode()
        assert whole.content == text
        assert whole.headers["Content-Type"] == "text/plain"
        assert whole.headers["Accept-Ranges"] == "bytes"
        assert 'filename="counted.txt"' in whole.headers["Content-Disposition"]
        head = await client.head(path)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["Content-Length"] == str(len(text))
        etag = whole.headers["ETag"]

        async def part(given: str, **fields: str) -> httpx2.Response:
            headers = {"Range": given, **{k.replace("_", "-"): v for k, v in fields.items()}}
            return await client.get(path, headers=headers)

        for given, expected in (
            ("bytes=0-9", text[:10]),
            ("bytes=100-", text[100:]),
            ("bytes=-7", text[-7:]),
            ("bytes=5-999999", text[5:]),
        ):
            answer = await part(given)
            assert (answer.status_code, answer.content) == (206, expected)
            first = text.index(expected) if given != "bytes=-7" else len(text) - 7
            last = first + len(expected) - 1
            assert answer.headers["Content-Range"] == f"bytes {first}-{last}/{len(text)}"
        beyond = await part(f"bytes={len(text)}-")
        assert code_of(beyond)[:2] == (416, "range_not_satisfiable")
        assert beyond.headers["Content-Range"] == f"bytes */{len(text)}"
        for given in ("bytes=0-1,5-6", "lines=1-2", "nonsense"):
            assert (await part(given)).content == text
        assert (await part("bytes=0-9", If_Range=etag)).status_code == 206
        assert (await part("bytes=0-9", If_Range='"another"')).content == text
        modified = whole.headers["Last-Modified"]
        assert (await part("bytes=0-9", If_Range=modified)).status_code == 206
        long_ago = "Thu, 01 Jan 1998 00:00:00 GMT"
        assert (await part("bytes=0-9", If_Range=long_ago)).status_code == 200
        known = await client.get(path, headers={"If-None-Match": etag})
        assert (known.status_code, known.content) == (304, b"")


def test_the_requests_of_the_kinds_are_described(tmp_path: Path) -> None:
    class Desk(msgspec.Struct):
        kinds: dict[str, Count]

    app = make_app(jobs=Desk({"count": Count()}))
    document = msgspec.json.decode(msgspec.json.encode(describe(app)))
    validate(document)
    content = document["paths"]["/v1/jobs"]["post"]["requestBody"]["content"]
    assert set(content) == {"application/json", "multipart/form-data"}
    form = document["components"]["schemas"]["CountRequestForm"]
    assert form["properties"]["file"]["format"] == "binary"
    parameters = document["paths"]["/v1/jobs/{job_id}"]["get"]["parameters"]
    assert [parameter["name"] for parameter in parameters] == ["job_id", "after"]
