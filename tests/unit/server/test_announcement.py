"""What the server says when it is up."""

import socket
from typing import Any

import pytest

from heisenberg.core.config import ServerConfig
from heisenberg.server import announcement as announcing
from heisenberg.server.announcement import announcement

OURS, OLLAMAS = "http://127.0.0.1:1234", "http://127.0.0.1:11434"


def test_it_says_where_it_is_and_what_clients_find_there() -> None:
    lines = announcement(ServerConfig(), [OURS, OLLAMAS], ["smollm2-135m", "whisper-base"])

    assert lines == [
        "Serving on http://127.0.0.1:1234 and http://127.0.0.1:11434. Ctrl-C ends it.",
        "  OpenAI clients: base URL http://127.0.0.1:1234/v1   LM Studio clients: http://127.0.0.1:1234",
        "  Ollama clients: http://127.0.0.1:11434",
        "  Models: smollm2-135m, whisper-base",
        "  What it can do: http://127.0.0.1:1234/docs",
    ]


def test_without_models_it_says_how_to_get_some() -> None:
    lines = announcement(ServerConfig(), [OURS], [])

    assert "  No model is installed yet. In another terminal: heisenberg models pull starter" in lines


def test_a_long_list_of_models_is_cut() -> None:
    lines = announcement(ServerConfig(), [OURS], [f"m{number}" for number in range(10)])

    assert "  Models: m0, m1, m2, m3, m4, m5, m6, m7 and 2 more" in lines


def test_the_services_for_home_assistant_are_named() -> None:
    wyoming = ["tcp://127.0.0.1:10300", "tcp://127.0.0.1:10200", "tcp://127.0.0.1:10400"]

    lines = announcement(ServerConfig(), [OURS], [], wyoming)

    assert (
        "  Home Assistant (Wyoming): speech to text tcp://127.0.0.1:10300, text to speech tcp://127.0.0.1:10200, "
        "wake words tcp://127.0.0.1:10400"
    ) in lines


@pytest.mark.parametrize(
    ("host", "listens"), [("0.0.0.0", "http://0.0.0.0:1234"), ("::", "http://[::]:1234"), ("", "http://0.0.0.0:1234")]
)
def test_others_are_told_an_address_that_they_can_use(host: str, listens: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """ "Every address" is none that one could connect to from elsewhere."""
    monkeypatch.setattr(announcing, "_own_address", lambda: "192.168.1.20")

    lines = announcement(ServerConfig(host=host, api_key="secret"), [listens], [])

    assert lines[:3] == [
        f"Serving on {listens}. Ctrl-C ends it.",
        "  OpenAI clients: base URL http://192.168.1.20:1234/v1   LM Studio clients: http://192.168.1.20:1234",
        "  Each needs the key in server.api_key.",
    ]
    assert "secret" not in "".join(lines)


def test_without_a_network_the_machine_is_called_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def is_unreachable(*args: Any) -> None:
        raise OSError("Network is unreachable")

    class Offline(socket.socket):
        connect = is_unreachable

    monkeypatch.setattr(socket, "socket", Offline)
    monkeypatch.setattr(socket, "gethostname", lambda: "studio.local")

    lines = announcement(ServerConfig(host="0.0.0.0", api_key="k"), ["http://0.0.0.0:1234"], [])

    assert "http://studio.local:1234/v1" in lines[1]
