"""What must not reach a model's server with a request that is otherwise passed on as it is.

llama-server believes its clients: it takes memory and places by number from the request, and fetches what a URL
names. So those keys are taken out, sizes bounded, and anything but ``data:`` refused. Pure; which request this
is, and where it goes, is the dialect's affair.
"""

from collections.abc import Iterator
from typing import Any

from heisenberg.server.asgi import BadRequest

REMOVED = frozenset({"id_slot", "slot_id", "n_discard", "lora", "media_path"})
"""Its place (that is the lane's to give), context shifting (a negative number wrote out of bounds, CVE-2026-21869),
adapters by number, files."""

REMOVED_PREFIX = "speculative"
"""Draft models, as ``speculative.n_max`` or as an object."""

LONGEST_MEMORY_TOKENS = 32_768

RANGES = {
    "n_keep": (-1, 2**31 - 1),
    "repeat_last_n": (-1, LONGEST_MEMORY_TOKENS),
    "dry_penalty_last_n": (-1, LONGEST_MEMORY_TOKENS),
}
"""Whole numbers by which it copies or allocates."""

TOOL_KEYS = ("tools", "tool_choice", "parallel_tool_calls", "functions", "function_call")

_HOLDERS = ("messages", "input", "prompt", "system", "content", "output")
"""Where parts of messages are. Arguments of tools are elsewhere, and may hold what they like."""

_MEDIA = ("image_url", "input_image", "input_audio", "audio_url", "input_video", "video_url")


def take_out(request: dict[str, Any], *, supports_tools: bool) -> bool:
    """Take out of *request* what its model's server must not see; whether there was any.

    Args:
        request: changed in place.
        supports_tools: whether that server knows of tools.
    """
    removed = [key for key in request if key in REMOVED or key.startswith(REMOVED_PREFIX)]
    removed += [key for key in RANGES if key in request and not _is_number(request[key])]
    if not supports_tools:
        removed += [key for key in TOOL_KEYS if key in request]
    for key in removed:
        del request[key]
    outside = [key for key in RANGES if key in request and request[key] != _bounded(key, request[key])]
    for key in outside:
        request[key] = _bounded(key, request[key])
    return bool(removed or outside)


def refuse_several_answers(request: dict[str, Any]) -> None:
    """Raises BadRequest if more than one answer is wanted.

    llama-server runs the others in whatever places are free: in those of other clients, and in the voice's.
    """
    for key in ("n", "n_cmpl"):
        value = request.get(key, 1)
        if value not in (None, 1):
            raise BadRequest(f"{key} is {str(value)[:40]}; a model of this machine gives 1 answer to a request.")


def refuse_forced_tools(request: dict[str, Any]) -> None:
    """For a model that takes no tools: raises BadRequest if it has to call one. Offered ones are left out unseen."""
    choice = request.get("tool_choice")
    if choice not in (None, "auto", "none") and request.get("tools"):
        raise BadRequest("this model takes no tools, so tool_choice cannot ask for one. See its capabilities.")


def refuse_remote_media(request: dict[str, Any], *, allows_web: bool) -> None:
    """Raises BadRequest if the model's server would have to fetch a picture, a sound or a file.

    Args:
        request: in any of the shapes that llama-server knows: chat, responses, messages.
        allows_web: whether ``http`` and ``https`` pass.
    """
    for part in _parts(request):
        for url in _urls(part):
            if url.startswith("data:") or (allows_web and url.startswith(("http://", "https://"))):
                continue
            hint = "" if allows_web else ", or set server.allow_remote_images"
            raise BadRequest(f"{url[:80]!r} is not fetched: send pictures and sounds as data: URLs{hint}.")


def _bounded(key: str, value: float) -> int:
    least, most = RANGES[key]
    return int(min(max(value, least), most))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value


def _parts(request: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every object in the places where parts of messages are, however deep."""
    waiting: list[Any] = [request[key] for key in _HOLDERS if key in request]
    while waiting:
        found = waiting.pop()
        if isinstance(found, list):
            waiting += [entry for entry in found if isinstance(entry, dict | list)]
        elif isinstance(found, dict):
            yield found
            waiting += [found[key] for key in _HOLDERS if isinstance(found.get(key), dict | list)]


def _urls(part: dict[str, Any]) -> Iterator[str]:
    """Whatever *part* asks to be fetched."""
    for key in _MEDIA:
        media = part.get(key)
        if isinstance(media, str):
            yield media
        elif isinstance(media, dict):
            yield from (media[name] for name in ("url", "image_url", "audio_url") if isinstance(media.get(name), str))
            yield from _disguised(media.get("data"))
    source = part.get("source")  # Anthropic's
    if isinstance(source, dict) and isinstance(source.get("url"), str):
        yield source["url"]
    if isinstance(part.get("file_url"), str):
        yield part["file_url"]
    yield from _disguised(part.get("file_data"))


def _disguised(data: object) -> Iterator[str]:
    """*data* is base64; a URL in its place would be fetched all the same."""
    if isinstance(data, str) and "://" in data[:40]:
        yield data
