"""`/v1/jobs`: background work, handed in, looked at, cancelled, and its results fetched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from msgspec import Meta
from quart import Blueprint, Response, request

from voiced.jobs.kind import JobRefused
from voiced.jobs.states import Status
from voiced.web.bodies import answer_json, read_json
from voiced.web.download import Download, Downloads
from voiced.web.job_answers import (
    ExtendedJob,
    JobAnswer,
    JobList,
    JobTaken,
    extended,
    plain,
    summary,
)
from voiced.web.job_form import JobForms
from voiced.web.job_spool import JobSpool
from voiced.web.openapi import JSON, Answer, Binary, Query, documents
from voiced.web.query import read_query
from voiced.web.refusal import Refusal, Refused
from voiced.web.upload import MULTIPART, receive_form

if TYPE_CHECKING:
    from voiced.jobs.desk import Desk, Draft
    from voiced.jobs.kind import JobFrame, JobRequest
    from voiced.jobs.records import Job
    from voiced.settings import Settings
    from voiced.web.services import Services

PATH: Final = {"job_id": "The `job_id` of a job."}

AFTER: Final = Query(
    Annotated[int, Meta(ge=-1)], "Only frames with a greater `index`: those that are new.", -1
)
LIMIT: Final = Query(Annotated[int, Meta(ge=1, le=100)], "How many at most.", 20)
BEFORE: Final = Query(str, "Only jobs handed in before the one with this id.", "")
STATUS: Final = Query(Status | None, "Only jobs in this state.", None)
PURGE: Final = Query(bool, "Forget the job and its result, too.", False)


def job_routes(services: Services) -> Blueprint:
    """Return the routes on the jobs of `services`."""
    routes = Blueprint("jobs", __name__)
    desk = services.jobs
    forms = JobForms(desk.kinds.values())
    downloads = Downloads()

    @routes.post("/v1/jobs")
    @documents(
        "Hand in a job",
        tag="jobs",
        request={JSON: forms.request, MULTIPART: forms.form},
        answers={202: Answer("It was taken.", {JSON: JobTaken})},
    )
    async def hand_in_job() -> Response:
        """Work that is done when nobody talks, and survives a restart. Its `type` says which.

        A file comes in a form, in the part `file`, the options beside it; without one, as JSON.
        """
        job = await hand_in(desk, forms, services.settings)
        taken = JobTaken(job_id=job.job_id, status=job.status)
        return answer_json(taken, 202, {"Location": f"/v1/jobs/{job.job_id}"})

    @routes.get("/v1/jobs")
    @documents(
        "List the jobs",
        tag="jobs",
        answers={200: JobList},
        query={"limit": LIMIT, "before": BEFORE, "status": STATUS},
    )
    async def list_jobs() -> Response:
        """The newest first."""
        limit = read_query("limit", LIMIT)
        jobs = await desk.ledger.page(
            limit=limit + 1,
            before=read_query("before", BEFORE) or None,
            status=read_query("status", STATUS),
        )
        if jobs is None:
            message = "Invalid value for 'before': there is no such job."
            raise Refused(Refusal(400, "invalid_value", message, param="before"))
        data = [summary(job) for job in jobs[:limit]]
        return answer_json(JobList(data=data, has_more=len(jobs) > limit))

    @routes.get("/v1/jobs/<job_id>")
    @documents("One job", tag="jobs", answers={200: JobAnswer}, path=PATH, query={"after": AFTER})
    async def job(job_id: str) -> Response:
        """How it is, and what is done of it so far: all frames, or with `after` the new ones."""
        return answer_json(plain(*await find(desk, job_id, read_query("after", AFTER))))

    @routes.get("/v1/jobs/<job_id>/extended")
    @documents(
        "One job, and more about it",
        tag="jobs",
        answers={200: ExtendedJob},
        path=PATH,
        query={"after": AFTER},
    )
    async def extended_job(job_id: str) -> Response:
        """How far it is, what took how long, and what went wrong."""
        return answer_json(extended(*await find(desk, job_id, read_query("after", AFTER))))

    @routes.delete("/v1/jobs/<job_id>")
    @documents(
        "Cancel a job",
        tag="jobs",
        answers={200: JobAnswer, 204: Answer("It is forgotten.", {})},
        path=PATH,
        query={"purge": PURGE},
    )
    async def cancel_job(job_id: str) -> Response:
        """One that is over stays as it is, so that this can be said twice. With `purge` the job,
        its frames and its result are gone, whatever its state was."""
        if read_query("purge", PURGE):
            if not await desk.remove(job_id):
                raise not_found()
            return Response(b"", 204)
        await desk.cancel(job_id)
        return answer_json(plain(*await find(desk, job_id)))

    @routes.get("/v1/jobs/<job_id>/result")
    @documents(
        "The result of a job",
        tag="jobs",
        answers={
            200: Answer("The file.", {"*/*": Binary}),
            206: Answer("The part that was asked for.", {"*/*": Binary}),
            304: Answer("You have it already.", {}),
        },
        path=PATH,
    )
    async def job_result(job_id: str) -> Response:
        """What a completed job has made, whole, or from where a download was cut off (`Range`)."""
        return await downloads.answer(
            await find_result(desk, job_id), request.headers, request.method
        )

    return routes


async def hand_in(desk: Desk, forms: JobForms, settings: Settings) -> Job:
    """Take a job from the body of the current request."""
    asked: JobRequest
    async with desk.draft() as draft:
        if not (request.content_type or "").lower().startswith(MULTIPART):
            asked = await read_json(forms.request)
            return await submit(draft, asked)
        async with receive_form(
            request.headers,
            request.body,
            JobSpool(draft),
            max_bytes=round(settings.limits.upload_mb * 1e6),
        ) as form:
            draft.has_file = form.has_file
            asked = forms.read(form.fields)
            return await submit(draft, asked)


async def submit(draft: Draft, asked: JobRequest) -> Job:
    """Put a job in the queue. Raises `Refused` that names the field which makes it impossible."""
    try:
        return await draft.submit(asked)
    except JobRefused as error:
        refusal = Refusal(error.status, error.code, error.public, param=error.param)
        raise Refused(refusal) from error


async def find(desk: Desk, job_id: str, after: int = -1) -> tuple[Job, list[JobFrame]]:
    """The job and its frames behind that index. Raises `Refused` with 404."""
    found = await desk.ledger.get_with_frames(job_id, after)
    if found is None:
        raise not_found()
    return found


async def find_result(desk: Desk, job_id: str) -> Download:
    """What the job has made. Raises `Refused` with 404, and 409 while it is not completed."""
    job = await desk.ledger.get(job_id)
    if job is None:
        raise not_found()
    if job.status != "completed":
        message = f"The job is {job.status}: there is no result."
        raise Refused(Refusal(409, "job_not_completed", message, param="job_id"))
    path = desk.result_path(job)
    if path is None:
        raise Refused(Refusal(404, "no_result", "The job has made no file.", param="job_id"))
    return Download(
        path=path,
        media_type=job.result_type or "application/octet-stream",
        name=path.name,
        etag=job.job_id,
        modified=job.finished_at or job.created_at,
    )


def not_found() -> Refused:
    """The refusal of an id that no job has."""
    message = "There is no such job: it never was, or was removed. GET /v1/jobs lists those kept."
    return Refused(Refusal(404, "job_not_found", message, param="job_id"))
