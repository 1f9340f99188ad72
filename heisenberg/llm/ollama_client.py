"""Ollama's own client, set up for us, and its failures as ours. What is asked is ``ollama.py``'s affair."""

from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import ollama

from heisenberg.core.errors import BrainError, HeisenbergError
from heisenberg.llm.deltas import ModelMissing, Refused, Unreachable
from heisenberg.llm.ollama_host import HERE, pull_command

CONNECT_TIMEOUT_S = 10.0

IS_IT_ONE = " Is llm.url an Ollama?"


def connected(url: str, api_key: str) -> ollama.AsyncClient:
    """A client of the Ollama at *url*; without a key, it takes $OLLAMA_API_KEY. Connects when it is used."""
    return ollama.AsyncClient(
        url,
        headers={"Authorization": f"Bearer {api_key}"} if api_key else None,
        timeout=httpx.Timeout(None, connect=CONNECT_TIMEOUT_S),  # every wait is bounded here
        # One connection per request: a server that was restarted in between is simply asked anew.
        limits=httpx.Limits(max_keepalive_connections=0),
        trust_env=False,  # a proxy for the web knows nothing of this machine
    )


@contextmanager
def failures(url: str, model: str) -> Iterator[None]:
    """What the client raises inside the block, as BrainError; *model* is what it is asked for."""
    try:
        yield
    except HeisenbergError:
        raise
    except ollama.ResponseError as exc:
        raise _refusal(url, model, exc.status_code, _one_line(exc.error)) from exc
    except (httpx.HTTPError, OSError) as exc:
        raise _unreachable(url, exc) from exc
    except (ValueError, TypeError, AttributeError) as exc:  # no JSON, or none of this shape
        text = f"{url} sent what is no answer of Ollama's ({_one_line(exc)[:80]}).{IS_IT_ONE}"
        raise BrainError(text, code="upstream-error") from exc


def _refusal(url: str, model: str, status: int, reason: str) -> BrainError:
    if status < 400:  # in the middle of its answer
        return BrainError(f"The language model's server failed: {reason}", code="upstream-error")
    if status == 404 and "model" in reason.lower():
        text = f'The Ollama at {url} does not have the model "{model}". Run: {pull_command(url, model)}'
        return ModelMissing(text, status=status, reason=reason)
    advice = {401: " Check llm.api_key.", 403: " Check llm.api_key.", 404: IS_IT_ONE, 405: IS_IT_ONE, 501: IS_IT_ONE}
    if reason.startswith("<"):  # a page for people
        reason = ""
    text = f"The Ollama at {url} answered {status}: {reason or 'no reason given'}.{advice.get(status, '')}"
    return Refused(text.replace("..", "."), status=status, reason=reason)


def _unreachable(url: str, exc: Exception) -> Unreachable:
    reason = _one_line(exc) or type(exc).__name__
    if type(exc) is ConnectionError:  # the client's own, whose text is for others
        reason = "no connection"
    elif not isinstance(exc, httpx.ConnectError | httpx.ConnectTimeout):
        return Unreachable(f"The Ollama at {url} broke off its answer: {reason}")
    start = "Start it: ollama serve (or its app)." if url == HERE else "Is it running? See llm.url."
    return Unreachable(f"No Ollama answers at {url} ({reason}). {start}")


def _one_line(reason: object) -> str:
    return " ".join(str(reason).split())[:300]
