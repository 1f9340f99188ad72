"""LM Studio's downloads: ``/api/v1/models/download`` and how far they are.

The jobs are in ``server/downloads.py``; here is what clients call models and what a job looks like to them. A model
is one that Heisenberg knows by name, a kit, or a repository of the Hugging Face hub with GGUF files; LM Studio's own
catalogue is not asked.
"""

import asyncio
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from heisenberg.runner.catalog.hub import PREFIX
from heisenberg.runner.catalog.kits import KITS, KNOWN_MODELS, KnownModel
from heisenberg.runner.catalog.progress import Progress
from heisenberg.runner.catalog.pull import expand, pull, resolve
from heisenberg.runner.catalog.store import Store
from heisenberg.server.asgi import BadRequest, Receive, Scope, Send, parse_object, read_body, send_json
from heisenberg.server.context import Context
from heisenberg.server.dialects.lmstudio.errors import BadParameter
from heisenberg.server.dialects.lmstudio.requested import model_name
from heisenberg.server.downloads import Job, TooManyDownloads

STATUS = "/api/v1/models/download/status/"

_HUB_LINK = re.compile(r"(?:https?://)?(?:huggingface\.co|hf\.co)/([\w.-]+/[\w.-]+?)/?")
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
_QUANTISATION = re.compile(r"[A-Za-z0-9_-]{1,40}")


async def download(context: Context, scope: Scope, receive: Receive, send: Send) -> None:
    """POST /api/v1/models/download: begin, or tell that it is there."""
    request = parse_object(await read_body(scope, receive, context.body_bytes))
    timeout_s = context.config.models.source_timeout_seconds
    store = Store(context.config.models.folder)
    models = await asyncio.to_thread(_missing, expand([pulled_name(request)]), store, timeout_s)
    if not models:
        await send_json(send, {"status": "already_downloaded"})
        return

    def fetch(model: KnownModel, progress: Progress) -> object:
        return pull(model, store, progress, timeout_s=timeout_s)

    try:
        job = context.downloads.start(models, fetch)
    except TooManyDownloads as exc:
        raise BadRequest("too many downloads wait already; try again when one has ended", 429) from exc
    await send_json(send, described(job))


async def status(context: Context, scope: Scope, receive: Receive, send: Send) -> None:
    """GET /api/v1/models/download/status/{job_id}."""
    identity = scope["path"].removeprefix(STATUS)
    job = context.downloads.find(identity)
    if job is None:
        raise BadParameter("job_id", f"no download is called '{identity[:80]}'", 404, kind="job_not_found")
    await send_json(send, described(job))


async def statuses(context: Context, scope: Scope, receive: Receive, send: Send) -> None:
    """GET /api/v1/models/download/status: every job, by its status."""
    found: dict[str, list[Any]] = {"downloading": [], "completed": [], "failed": [], "paused": []}
    for job in context.downloads.all():
        found[job.status].append(described(job))
    await send_json(send, found)


def pulled_name(request: Mapping[str, Any]) -> str:
    """What the model of *request* is called by ``models pull``. Raises BadParameter."""
    name = model_name(request)
    link = _HUB_LINK.fullmatch(name)
    if name in KNOWN_MODELS or name in KITS:
        found = name
    elif link is not None:
        found = PREFIX + link[1]
    else:
        found = PREFIX + name if _REPOSITORY.fullmatch(name) else name
    wanted = request.get("quantization")
    if wanted is None:
        return found
    if not isinstance(wanted, str) or not _QUANTISATION.fullmatch(wanted):
        raise BadParameter("quantization", "'quantization' has to be a name such as Q4_K_M", code="invalid_type")
    if not found.startswith(PREFIX):
        raise BadParameter("quantization", "'quantization' is for repositories of the Hugging Face hub only")
    return f"{found}:*{wanted}*"


def described(job: Job) -> dict[str, Any]:
    """*job*, as clients see it; what is not known is not there."""
    is_running = job.status == "downloading"
    expected = job.estimated_completion if is_running else None
    more: dict[str, Any] = {
        "total_size_bytes": job.total_bytes or None,
        "bytes_per_second": job.bytes_per_second if is_running else None,
        "estimated_completion": _moment(expected),
        "completed_at": _moment(job.completed_at) if job.status == "completed" else None,
        "error": job.reason or None,
    }
    return {
        "job_id": job.identity,
        "status": job.status,
        "downloaded_bytes": job.done_bytes,
        "started_at": _moment(job.started_at),
        **{key: value for key, value in more.items() if value is not None},
    }


def _missing(names: list[str], store: Store, timeout_s: float) -> list[KnownModel]:
    """Those that are not installed. Looks up repositories of the hub, so it may take as long as *timeout_s*."""
    there = {word for model in store.installed() for word in (model.name, model.origin)}
    wanted = [resolve(name, timeout_s) for name in names if name not in there]
    return [model for model in wanted if model.name not in there]


def _moment(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z") if moment else None
