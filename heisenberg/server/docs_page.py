"""The page at ``/docs``: which routes there are. It loads nothing from elsewhere, since there may be no network."""

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from heisenberg.server.routes import Route

_TITLES = {
    "openai": "As OpenAI has them (base URL: this address and /v1)",
    "lmstudio": "As LM Studio has them (its REST API)",
    "ollama": "As Ollama has them",
}

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Heisenberg's server</title>
<style>
:root {{ color-scheme: light dark }}
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 50rem; margin: 2rem auto; padding: 0 1rem }}
td {{ padding: .15rem 1rem .15rem 0; vertical-align: top }} code {{ font-size: .9em }}
</style></head><body>
<h1>Heisenberg's server</h1>
<p>This machine's models. Its own routes are described in <a href="/openapi.json">openapi.json</a>.</p>
{tables}
</body></html>
"""


def docs_page(schema: Mapping[str, Any], dialects: Iterable[Route]) -> str:
    """The page.

    Args:
        schema: the OpenAPI description of our own routes.
        dialects: the routes that speak as others do.
    """
    ours = [
        (method.upper(), path, operation.get("summary", ""))
        for path, operations in schema["paths"].items()
        for method, operation in operations.items()
    ]
    tables = [_table("Its own", ours)]
    by_name: dict[str, list[tuple[str, str, str]]] = {}
    for route in dialects:
        by_name.setdefault(route.dialect, []).append((route.method, route.path, ""))
    tables += [_table(_TITLES.get(name, f"As {name} has them"), rows) for name, rows in by_name.items()]
    return _PAGE.format(tables="\n".join(tables))


def _table(title: str, rows: Iterable[tuple[str, str, str]]) -> str:
    lines = [
        f"<tr><td><code>{escape(method)}</code></td><td><code>{escape(path)}</code></td><td>{escape(what)}</td></tr>"
        for method, path, what in rows
    ]
    return f"<h2>{escape(title)}</h2>\n<table>\n" + "\n".join(lines) + "\n</table>"
