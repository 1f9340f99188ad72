"""Our own routes: is it alive, is it ready, what does it have, how does it do. No client's dialect.

A FastAPI application, so that they describe themselves (``/openapi.json``); ``app.py`` hands it what is below.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

from fastapi import FastAPI, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from heisenberg import __version__
from heisenberg.core.config import ModelKind
from heisenberg.core.errors import ModelNotFound
from heisenberg.runner.catalog.entry import Capability, Model
from heisenberg.runner.fleet import Fleet, Loaded, State
from heisenberg.server.docs_page import docs_page
from heisenberg.server.folders import without_folders
from heisenberg.server.log_following import Followers
from heisenberg.server.metrics import CONTENT_TYPE, Metrics
from heisenberg.server.routes import Route
from heisenberg.server.shapes import error_body

PATHS = ("/health", "/ready", "/metrics", "/models", "/models/*", "/docs", "/openapi.json")
"""What belongs to this application; all of it is GET."""


Missing = Callable[[], Mapping[str, str]]


class Health(BaseModel):
    """The server is alive."""

    status: str


class ModelView(BaseModel):
    """A model of the catalog, and where it stands."""

    name: str
    kind: ModelKind
    display_name: str
    aliases: list[str]
    capabilities: list[Capability]
    size_bytes: int
    quantisation: str
    context_tokens: int
    is_remote: bool
    state: State | None
    """None if it is not in memory."""
    in_use: int
    memory_bytes: int
    expires_in_seconds: float | None


class ModelViews(BaseModel):
    """Every model."""

    models: list[ModelView]


class Failure(BaseModel):
    """Why not."""

    error: dict[str, str | None]


NOT_FOUND: dict[str, Any] = {
    "description": "No such model",
    # As a "model", FastAPI would describe it as being of the route's own type, text.
    "content": {"application/json": {"schema": Failure.model_json_schema()}},
}


def own_app(
    fleet: Fleet, metrics: Metrics, missing: Missing, followers: Followers, dialects: Sequence[Route]
) -> FastAPI:
    """The application.

    Args:
        fleet: the models.
        metrics: of this server.
        missing: the models that are still to be loaded before clients should come; each with why it failed, if it did.
        followers: of the models' logs.
        dialects: the routes of the dialects, for the page of documentation.
    """
    app = FastAPI(
        title="Heisenberg", version=__version__, docs_url=None, redoc_url=None, redirect_slashes=False,
        description="This server's own routes. For models it speaks OpenAI, LM Studio and Ollama.",
    )  # fmt: skip
    _add_states(app, metrics, missing)
    _add_models(app, fleet, followers)
    _add_failures(app)

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(docs_page(app.openapi(), dialects))

    return app


def _add_states(app: FastAPI, metrics: Metrics, missing: Missing) -> None:
    @app.get("/health", summary="Is it alive?")
    async def health() -> Health:
        return Health(status="ok")

    @app.get("/ready", summary="Should clients come?", responses={503: {"model": Health}})
    async def ready(response: Response) -> Health:
        absent = missing()
        if not absent:
            return Health(status="ready")
        response.status_code = 503
        return Health(status=_not_ready(absent))

    @app.get("/metrics", summary="Figures for Prometheus", response_class=PlainTextResponse)
    async def figures() -> Response:
        return Response(metrics.text(), headers={"content-type": CONTENT_TYPE.decode()})


def _not_ready(absent: Mapping[str, str]) -> str:
    """What is still to come, then what failed, and why."""
    coming = [name for name, why in absent.items() if not why]
    parts = [f"loading {', '.join(coming)}"] if coming else []
    parts += [f"{name} cannot be loaded: {without_folders(why)}" for name, why in absent.items() if why]
    return "; ".join(parts)


def _add_models(app: FastAPI, fleet: Fleet, followers: Followers) -> None:
    @app.get("/models", summary="Every model, and where it stands")
    async def models() -> ModelViews:
        return ModelViews(models=_views(fleet))

    @app.get(
        "/models/{name:path}/log",
        summary="The last lines that a model's process printed",
        response_class=PlainTextResponse,
        response_model=None,
        responses={404: NOT_FOUND, 503: {**NOT_FOUND, "description": "Too many follow logs"}},
    )
    async def model_log(
        name: Annotated[str, Path(description="The model's name.")],
        follow: Annotated[bool, Query(description="Whether lines to come are wanted, too.")] = False,
    ) -> str | Response:
        model = fleet.catalog.find(name)
        if not follow:
            return "".join(f"{line}\n" for line in fleet.log_tail(model))
        if followers.is_full:
            raise HTTPException(503, "too many follow logs already; try again later")
        return followers.answer(model)


def _add_failures(app: FastAPI) -> None:
    def said(request: Request, message: str, status: int) -> JSONResponse:
        return JSONResponse(error_body(request.url.path, message, status), status)

    @app.exception_handler(ModelNotFound)
    async def not_found(request: Request, error: ModelNotFound) -> JSONResponse:
        return said(request, without_folders(error.message), 404)

    @app.exception_handler(RequestValidationError)
    async def not_valid(request: Request, error: RequestValidationError) -> JSONResponse:
        return said(request, "; ".join(str(part["msg"]) for part in error.errors()), 422)

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> JSONResponse:
        unexpected = f"Unexpected endpoint or method. ({request.method} {request.url.path})"
        return said(request, error.detail if error.status_code == 503 else unexpected, error.status_code)


def _views(fleet: Fleet) -> list[ModelView]:
    loaded = {entry.model.name: entry for entry in fleet.loaded()}
    return [_view(model, loaded.get(model.name)) for model in fleet.catalog.all()]


def _view(model: Model, loaded: Loaded | None) -> ModelView:
    return ModelView(
        name=model.name,
        kind=model.kind,
        display_name=model.display_name,
        aliases=list(model.aliases),
        capabilities=sorted(model.capabilities),
        size_bytes=model.size_bytes,
        quantisation=model.quantisation,
        context_tokens=model.context_tokens,
        is_remote=model.is_remote,
        state=loaded.state if loaded else None,
        in_use=loaded.in_use if loaded else 0,
        memory_bytes=loaded.memory_bytes if loaded else 0,
        expires_in_seconds=loaded.expires_in_s if loaded else None,
    )
