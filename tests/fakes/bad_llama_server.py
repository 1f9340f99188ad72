"""A llama-server with bad habits: a program of its own, standard library only, up within a tenth of a second.

It takes llama-server's command line, answers ``/health``, ``/props``, ``/v1/models`` and any POST, and streams
``one two three …`` for ``"stream": true``. A POST to ``/crash`` is a segmentation fault, to ``/freeze`` the end of
all answers. Its "model" is a text file with a habit on each line, as in ``slow-load=0.5``; a real GGUF file has none.
Each start adds its process id to the file of that name with ``.starts``.

Usage: python -I -S bad_llama_server.py --model FILE --alias NAME --port N [whatever llama-server takes]
"""

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import Any, BinaryIO, cast

WORDS = ["one", " two", " three", " four", " five"]


def say(text: str, end: str = "\n") -> None:
    sys.stdout.write(text + end)
    sys.stdout.flush()


def load(habit: dict[str, str]) -> None:
    """What it does before it is ready."""
    if "long-line" in habit:
        say("x" * int(habit["long-line"]))
    if "unfinished" in habit:
        say(habit["unfinished"], end="")
    if "fails" in habit:
        say(f"llama_model_load: error loading model: {habit['fails']}")
        say("main: exiting due to model loading error")
        os._exit(1)
    if "exit" in habit:
        os._exit(int(habit["exit"]))
    until = time.monotonic() + float(habit.get("slow-load", 0))
    while time.monotonic() < until:
        if "mutter" in habit:
            say("load_tensors: still loading")
        time.sleep(0.05)


class Server:
    """Answers connections, each in a thread of its own."""

    def __init__(self, args: argparse.Namespace, habit: dict[str, str]) -> None:
        self.args = args
        self.habit = habit
        self.key = os.environ.get("LLAMA_API_KEY", "")
        self.is_ready = False
        self.is_frozen = False

    def listen(self) -> None:
        listening = socket.create_server((self.args.host, self.args.port))
        threading.Thread(target=self.accept, args=(listening,), daemon=True).start()

    def accept(self, listening: socket.socket) -> None:
        while True:
            connection, _ = listening.accept()
            threading.Thread(target=self.answer, args=(connection,), daemon=True).start()

    def answer(self, connection: socket.socket) -> None:
        with connection:
            stream = cast(BinaryIO, connection.makefile("rwb"))
            method, path, _ = stream.readline().decode().split()
            headers: dict[str, str] = {}
            while line := stream.readline().strip():
                name, _, value = line.decode().partition(":")
                headers[name.lower()] = value.strip()
            body = stream.read(int(headers.get("content-length", 0)))
            try:
                self.respond(stream, method, path, headers, body)
                stream.flush()
            except OSError:
                pass  # the client has left

    def respond(self, stream: BinaryIO, method: str, path: str, headers: dict[str, str], body: bytes) -> None:
        while self.is_frozen:
            time.sleep(1)
        if "stolen" in self.habit:  # somebody else has the port: no key, another model
            return reply(stream, 200, {"status": "ok", "data": [{"id": "someone else's"}]})
        if not self.is_ready:
            return reply(stream, 503, {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}})
        if path == "/health":
            return reply(stream, 200, {"status": "ok"})
        if headers.get("authorization") != f"Bearer {self.key}":
            return reply(stream, 401, {"error": {"code": 401, "message": "Invalid API Key"}})
        if path == "/v1/models":
            return reply(stream, 200, {"object": "list", "data": [{"id": self.args.alias, "object": "model"}]})
        if method == "POST":
            return self.obey(stream, path, json.loads(body or b"{}"))
        return reply(stream, 200, {"model_alias": self.args.alias})

    def obey(self, stream: BinaryIO, path: str, request: dict[str, Any]) -> None:
        if path == "/crash":
            crash()
        if path == "/freeze":
            self.is_frozen = True
        if request.get("stream"):
            return self.stream(stream)
        time.sleep(float(request.get("seconds", 0)))
        return reply(stream, 200, {"model": self.args.alias, "pid": os.getpid(), "argv": sys.argv[1:]})

    def stream(self, stream: BinaryIO) -> None:
        stream.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n")
        stream.write(b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n")
        for number, word in enumerate(WORDS):
            if "crash-mid-stream" in self.habit and number == int(self.habit["crash-mid-stream"]):
                crash()
            if "comments" in self.habit:
                chunk(stream, ":\n\n")
            event = {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": word}}]}
            chunk(stream, f"data: {json.dumps(event)}\n\n")
        chunk(stream, "data: [DONE]\n\n")
        stream.write(b"0\r\n\r\n")


def reply(stream: BinaryIO, status: int, answer: dict[str, Any]) -> None:
    body = json.dumps(answer).encode()
    stream.write(f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nConnection: close\r\n".encode())
    stream.write(f"Content-Length: {len(body)}\r\n\r\n".encode() + body)


def chunk(stream: BinaryIO, text: str) -> None:
    stream.write(f"{len(text.encode()):x}\r\n{text}\r\n".encode())
    stream.flush()


def crash() -> None:
    say("CUDA error: an illegal memory access was encountered")
    os.kill(os.getpid(), signal.SIGSEGV)
    time.sleep(10)


def main() -> None:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--model", required=True)
    parser.add_argument("--alias", required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    args, _ = parser.parse_known_args()
    with open(args.model, errors="replace") as model:
        words = "" if (text := model.read(10_000)).startswith("GGUF") else text
    habit = {name: value for name, _, value in (line.partition("=") for line in words.splitlines())}
    with open(args.model + ".starts", "a") as note:
        note.write(f"{os.getpid()}\n")
    if "ignores-term" in habit:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if "grandchild" in habit:  # inherits our output, and holds it open
        subprocess.Popen([sys.executable, "-I", "-S", "-c", "import time; time.sleep(600)"])
    if "silent" in habit:
        time.sleep(600)
    server = Server(args, habit)
    server.listen()
    load(habit)
    if "stolen" in habit:
        time.sleep(1)
        say(f"couldn't bind HTTP server socket, hostname: {args.host}, port: {args.port}")
        os._exit(1)
    server.is_ready = True
    say(f"main: server is listening on http://{args.host}:{args.port}")
    threading.Event().wait()


if __name__ == "__main__":
    main()
