"""``heisenberg serve`` and ``heisenberg run --serve``, as processes of their own."""

import json
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.e2e.program import TIMEOUT_S, heisenberg, running
from tests.e2e.test_faults import wait_for

pytestmark = pytest.mark.e2e

ANY_PORT = ("--set", "server.port=0", "--set", "server.ollama_port=0")
TEXT_ONLY = ("run", "--text", "--output", "none", "--quiet", "--set", "osc.targets=[]", "--set", "tts.engine=none")
MEGABYTES = 120
"""What the server may hold while no model is loaded."""


def address(process: "subprocess.Popen[str]") -> str:
    """Where it says that it serves."""
    assert process.stderr is not None
    for line in process.stderr:
        if found := re.match(r"Serving on (http://\S+:\d+)", line):
            return found[1]
    raise AssertionError("it never served")


def fetched(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:
        return json.load(answer)


def ended(process: "subprocess.Popen[str]") -> int:
    """Ask it to end, as a service manager does; its status."""
    process.send_signal(signal.SIGTERM)
    return process.wait(timeout=20)


def test_it_serves_until_it_is_asked_to_end() -> None:
    with running("serve", *ANY_PORT) as process:
        url = address(process)

        assert fetched(f"{url}/ready") == {"status": "ready"}
        assert fetched(f"{url}/v1/models")["object"] == "list"
        assert ended(process) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="resident memory means something else elsewhere")
def test_without_a_model_it_is_small() -> None:
    with running("serve", *ANY_PORT) as process:
        url = address(process)
        for path in ("/models", "/v1/models", "/openapi.json", "/api/tags"):
            fetched(url + path)

        assert psutil.Process(process.pid).memory_info().rss < MEGABYTES * 1e6


@pytest.mark.skipif(sys.platform != "linux", reason="systemd's protocol")
def test_the_service_manager_is_told_when_it_serves(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(TIMEOUT_S)
        with running("serve", *ANY_PORT, environment={"NOTIFY_SOCKET": str(tmp_path / "notify")}) as process:
            url = address(process)
            told = [systemd.recv(1000).decode() for _ in range(2)]
            ended(process)
            told.append(systemd.recv(1000).decode())

    assert told == ["READY=1", f"STATUS=serving on {url}", "STOPPING=1"]


@pytest.mark.parametrize("command", [("serve",), TEXT_ONLY + ("--serve",)])
def test_a_port_that_is_taken_is_told_at_once(command: tuple[str, ...]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = heisenberg(*command, "--set", f"server.port={port}", "--log-level", "error")

    assert done.status == 1
    assert re.fullmatch(rf"heisenberg: Port {port} on 127.0.0.1 cannot be opened: .*\n", done.stderr)


def test_an_open_address_without_a_key_is_refused_in_a_line() -> None:
    done = heisenberg("serve", "--host", "0.0.0.0")

    assert done.status == 2
    assert re.fullmatch(r'heisenberg: server.host is "0.0.0.0", .*server\.api_key.*\n', done.stderr)


def test_the_assistant_serves_its_models_meanwhile() -> None:
    """Its own language model answers another program, and it ends in good order."""
    with running(*TEXT_ONLY, "--serve", *ANY_PORT) as process:
        url = address(process)
        wait_for(lambda: any(model["state"] for model in fetched(f"{url}/models")["models"]), "loaded model")
        said = {"model": "smollm2-135m", "max_tokens": 4, "messages": [{"role": "user", "content": "Say hello."}]}
        request = urllib.request.Request(
            f"{url}/v1/chat/completions", json.dumps(said).encode(), {"Content-Type": "application/json"}
        )
        answer = fetched(request)

        assert answer["choices"][0]["message"]["content"]
        assert ended(process) == 0
