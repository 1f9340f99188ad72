"""``heisenberg osc``: see what TouchDesigner would receive, send it something, or command a running assistant."""

import argparse
import re
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket

    from heisenberg.core.config import Config

DEFAULT_PORT = 7000
SEND_MAX_BYTES = 65_507
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}
"""Whoever listens everywhere is spoken to here."""

_INTEGER = re.compile(r"[+-]?\d{1,10}")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register the command with its two actions."""
    parser = subparsers.add_parser(
        "osc", help="see what TouchDesigner receives, send it something, or command the assistant", description=__doc__
    )
    actions = parser.add_subparsers(title="actions", dest="action", metavar="ACTION", required=True)
    monitor = actions.add_parser("monitor", help="print every OSC message that arrives")
    monitor.add_argument("--port", type=_port, metavar="N", help="UDP port (default: that of the first osc.targets)")
    monitor.add_argument(
        "--host", default="127.0.0.1", help="address to receive on; 0.0.0.0 is the whole network (default: 127.0.0.1)"
    )
    monitor.add_argument("--all", action="store_true", help="print each level and each repeat, too")
    monitor.add_argument("--json", action="store_true", help="print every message as one JSON object per line")
    monitor.set_defaults(run=run_monitor)
    send = actions.add_parser("send", help="send one OSC message, to TouchDesigner or to a running assistant")
    send.add_argument("address", type=_address, metavar="ADDRESS", help="for example /visual/prompt")
    send.add_argument("values", nargs="*", metavar="ARG", help="3 is an int, 0.5 a float, s:3 a string, f:3 a float")
    send.add_argument(
        "--target",
        metavar="HOST:PORT",
        help="receiver (default: osc.listen for /heisenberg/in/…, else all osc.targets)",
    )
    send.set_defaults(run=run_send)


def run_monitor(args: argparse.Namespace, config: "Config") -> int:
    """Print messages until interrupted. Raises SinkError if the port cannot be opened."""
    from heisenberg.sinks.monitor import Digest, open_receiver, receive

    port = args.port if args.port is not None else _configured_port(config)
    with open_receiver(args.host, port) as sock:
        print(f"Listening on {_where(sock)} (UDP). Ctrl-C ends it.", file=sys.stderr, flush=True)
        digest = Digest(_print)
        for received in receive(sock, time.monotonic):
            if args.json:
                _print(received.as_json())
            elif args.all:
                _print(received.as_line())
            else:
                digest.take(received)
    return 0


def run_send(args: argparse.Namespace, config: "Config") -> int:
    """Send one message to each target. Raises SinkError if it cannot be sent."""
    from heisenberg.sinks.datagram import encode

    names = [args.target] if args.target else _receivers(args.address, config)
    values = [infer(text) for text in args.values]
    datagram, was_cut = encode(args.address, *values, max_bytes=SEND_MAX_BYTES)
    for name in names:
        _send(datagram, name)
    cut = " (the text was cut to fit one datagram)" if was_cut else ""
    print(f"sent {args.address}, {len(datagram)} bytes, to {', '.join(names)}{cut}")
    return 0


def infer(text: str) -> int | float | str:
    """``3`` is an int, ``0.5`` and ``1e3`` are floats, the rest is text; ``i:``, ``f:`` and ``s:`` decide it."""
    kind, colon, rest = text.partition(":")
    if colon and kind == "s":
        return rest
    if colon and kind == "f" and _NUMBER.fullmatch(rest):
        return float(rest)
    if colon and kind == "i" and _INTEGER.fullmatch(rest):
        return int(rest)
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _NUMBER.fullmatch(text) else text


def _receivers(address: str, config: "Config") -> list[str]:
    """Who is meant by *address*: a running assistant, or those that it sends to."""
    from heisenberg.core.errors import SinkError
    from heisenberg.sinks.osc_commands import PREFIX

    if not address.startswith(PREFIX):
        if not config.osc.targets:
            message = "There is no OSC target: osc.targets is empty. Give --target HOST:PORT."
            raise SinkError(message, code="osc-target-invalid")
        return config.osc.targets
    if not config.osc.listen:
        message = (
            "The assistant takes no commands: osc.listen is not set. "
            'Set it to "127.0.0.1:7001" and start the assistant again, or give --target HOST:PORT.'
        )
        raise SinkError(message, code="osc-target-invalid")
    host, _, port = config.osc.listen.rpartition(":")
    return [f"{EVERYWHERE.get(host, host)}:{port}"]


def _send(datagram: bytes, name: str) -> None:
    import socket

    from heisenberg.core.errors import SinkError
    from heisenberg.sinks.targets import look_up, parse

    host, port = parse(name)
    try:
        family, address = look_up(host, port)
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.sendto(datagram, address)
    except (OSError, UnicodeError) as exc:
        reason = getattr(exc, "strerror", None) or exc
        raise SinkError(
            f"Nothing was sent to {name}: {reason}. Check the name and the network, or use a numeric address.",
            code="osc-target-invalid",
        ) from exc


def _configured_port(config: "Config") -> int:
    from heisenberg.core.errors import SinkError
    from heisenberg.sinks.targets import parse

    for name in config.osc.targets:
        try:
            return parse(name)[1]
        except SinkError:
            continue
    return DEFAULT_PORT


def _where(sock: "socket.socket") -> str:
    host, port = sock.getsockname()[:2]
    return f"{host}:{port}"


def _print(line: str) -> None:
    """Print at once; a terminal that lacks a letter gets a question mark."""
    try:
        print(line, flush=True)
    except UnicodeEncodeError:
        encoding = sys.stdout.encoding or "ascii"
        print(line.encode(encoding, "replace").decode(encoding), flush=True)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= 65_535):
        raise argparse.ArgumentTypeError(f'"{text}" is not a port from 0 to 65535')
    return int(text)


def _address(text: str) -> str:
    from heisenberg.sinks.sanitise import is_address

    if not is_address(text):
        raise argparse.ArgumentTypeError(
            f'"{text}" is not an OSC address: it begins with / and has no spaces, accents or # * , ? [ ] {{ }}'
        )
    return text
