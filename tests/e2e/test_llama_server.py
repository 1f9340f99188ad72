"""The language model's server: an installed llama-server, and the one that is started by hand."""

import os
import shlex
import subprocess
import sys
import urllib.request
from pathlib import Path

import psutil
import pytest

from heisenberg.runner import engines
from tests.e2e.program import heisenberg
from tests.e2e.test_faults import wait_for

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]


SCRIPT = """\
#!/bin/sh
[ "$1" = --version ] && { echo "version: 4711 (test)" >&2; exit; }
echo "$@" >{log}
for argument; do
    shift
    [ "$argument" = --jinja ] || set -- "$@" "$argument" # the embedded server always does
done
HEISENBERG_STANDALONE=1 exec {python} -m heisenberg.workers.llama "$@"
"""


def installed_llama_server(folder: Path) -> Path:
    """A program that takes llama-server's command line (the embedded server behind a shell script)."""
    script = folder / "llama-server"
    text = SCRIPT.replace("{log}", shlex.quote(str(folder / "argv"))).replace("{python}", shlex.quote(sys.executable))
    script.write_text(text)
    script.chmod(0o755)
    return script


def servers(port: str) -> list[psutil.Process]:
    """Running servers on *port*."""
    return [p for p in psutil.process_iter(["cmdline"]) if f"--port {port}" in " ".join(p.info["cmdline"] or [])]


def test_a_llama_server_on_the_path_is_preferred(tmp_path: Path) -> None:
    """It is started under the guard with our arguments, answers, and is gone afterwards."""
    installed_llama_server(tmp_path)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"

    run = heisenberg("ask", "What is the capital of France?", "--json", environment={"PATH": path})

    assert run.status == 0, run.stderr
    assert '"reply"' in run.stdout
    argv = (tmp_path / "argv").read_text().split()
    assert argv[argv.index("--ctx-size") + 1] == "2048"
    assert servers(argv[argv.index("--port") + 1]) == []
    assert "version: 4711 (test)" in heisenberg("doctor", environment={"PATH": path}).stdout


def test_a_configured_server_that_does_not_exist_is_one_line() -> None:
    run = heisenberg("ask", "Hello", "--set", "llm.server_path=/no/such/llama-server")

    assert run.status == 1
    assert 'llm.server_path is "/no/such/llama-server"' in run.stderr
    assert "Traceback" not in run.stderr


def test_the_server_started_by_hand_serves_an_assistant_that_is_pointed_at_it() -> None:
    """`./start_llama_server.sh --port N`, then `llm.url`."""
    port = engines.free_port()
    command = [str(ROOT / "start_llama_server.sh"), "--model", "smollm2-135m", "--port", str(port)]
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: _is_healthy(port), "server")
        run = heisenberg("ask", "Who are you?", "--set", f"llm.url=http://127.0.0.1:{port}")
    finally:
        server.terminate()
        server.wait(20)

    assert run.status == 0, run.stderr
    assert run.stdout.strip()


def test_a_busy_port_is_named_when_starting_by_hand() -> None:
    import socket

    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        command = [str(ROOT / "start_llama_server.sh"), "--model", "smollm2-135m", "--port", str(port)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 1
    assert f"Port {port} is in use" in done.stderr


def _is_healthy(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
