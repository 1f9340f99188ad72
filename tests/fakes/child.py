"""A worker with bad habits, for the supervisor's tests. Standard library only; run by path.

It listens on a UNIX socket and answers ``ready PID`` to whoever connects and says ``?``. Other words that it
understands there: ``crash`` (a segmentation fault), ``exit N``, ``stop`` (it answers nobody any more). Its
process id is in SOCKET.pid.

Usage: python -I -S child.py SOCKET [HABIT[=VALUE]]...
"""

import os
import signal
import socket
import subprocess
import sys
import threading
import time


def end_with_parent() -> None:
    """Without this habit the child outlives its parent, as a program does that knows nothing of us."""

    def watch() -> None:
        while os.read(0, 4096):
            pass
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()


def say(text: str, end: str = "\n") -> None:
    sys.stdout.write(text + end)
    sys.stdout.flush()


def finish(seconds: float) -> None:
    """End in good order, which takes a while."""
    time.sleep(seconds)
    say("finished")
    os._exit(0)


def habits(words: list[str]) -> dict[str, str]:
    return {name: value for name, _, value in (word.partition("=") for word in words)}


def misbehave(habit: dict[str, str]) -> None:
    """What is done before listening."""
    if "lifeline" in habit:
        end_with_parent()
    if "ignore-term" in habit:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if "finish" in habit:
        signal.signal(signal.SIGTERM, lambda *_: finish(float(habit["finish"])))
    if "grandchild" in habit:  # inherits our output, and holds it open
        grandchild = subprocess.Popen([sys.executable, "-I", "-S", "-c", "import time; time.sleep(600)"])
        say(f"grandchild {grandchild.pid}")
    if "env" in habit:
        say(f"{habit['env']}={os.environ.get(habit['env'])}")
    if "flood" in habit:
        for number in range(int(habit["flood"])):
            say(f"line {number} " + "x" * 100)
    if "long-line" in habit:
        say("y" * int(habit["long-line"]), end="")
    if "say" in habit:
        say(habit["say"], end="" if "unfinished" in habit else "\n")
    if "exit" in habit:
        sys.exit(int(habit["exit"]))
    if "never-ready" in habit:
        time.sleep(600)
    for _ in range(int(habit.get("mutter", 0))):
        say("still loading")
        time.sleep(0.1)
    held = []
    for _ in range(int(habit.get("grow", 0))):
        held.append(b"x" * 4_000_000)
        time.sleep(0.1)
    if "slow" in habit:
        time.sleep(float(habit["slow"]))


def serve(path: str, habit: dict[str, str]) -> None:
    """Answer one connection after the other."""
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(path)
    listening.listen()
    while True:
        connection, _ = listening.accept()
        with connection:
            obey(connection.recv(64).decode(), connection, habit)


def obey(word: str, connection: socket.socket, habit: dict[str, str]) -> None:
    match word.split():
        case ["?"]:
            connection.sendall(f"ready {os.getpid()}".encode())
            if "crash-after-ready" in habit:
                say("about to crash")
                os.kill(os.getpid(), signal.SIGSEGV)
        case ["crash"]:
            say("about to crash")
            os.kill(os.getpid(), signal.SIGSEGV)
        case ["exit", code]:
            say(habit.get("last-words", "bye"))
            os._exit(int(code))
        case ["stop"]:
            time.sleep(600)


if __name__ == "__main__":
    with open(sys.argv[1] + ".pid", "w") as note:
        note.write(str(os.getpid()))
    own_habits = habits(sys.argv[2:])
    misbehave(own_habits)
    serve(sys.argv[1], own_habits)
