"""``heisenberg serve``: this machine's models for every client."""

import argparse
import asyncio
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from heisenberg.core.config import Config


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register the command."""
    parser = subparsers.add_parser("serve", help="this machine's models for OpenAI, LM Studio and Ollama clients")
    parser.add_argument("--host", metavar="H", help="address to listen on (default: server.host)")
    parser.add_argument("--port", type=int, metavar="N", help="port (default: server.port)")
    parser.add_argument(
        "--ollama-port", type=int, metavar="N", help="second port, 0 for none (default: server.ollama_port)"
    )
    parser.add_argument(
        "--wyoming", action="store_true", default=None, help="speech for Home Assistant, too (default: server.wyoming)"
    )
    parser.set_defaults(run=execute)


def execute(args: argparse.Namespace, config: "Config") -> int:
    """Serve until interrupted or asked to end."""
    from heisenberg.serve import new_event_loop, run_server

    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(run_server(_with_options(config, args), announce))
    return 0


def announce(lines: list[str]) -> None:
    """Say where clients find the server, and what they are to be told."""
    print("\n".join(lines), file=sys.stderr, flush=True)


def _with_options(config: "Config", args: argparse.Namespace) -> "Config":
    """*config* with the ports of the command line. Raises ConfigError."""
    from pydantic import ValidationError

    from heisenberg.core.config import ServerConfig
    from heisenberg.core.errors import ConfigError

    options = {"host": args.host, "port": args.port, "ollama_port": args.ollama_port, "wyoming": args.wyoming}
    given = {key: value for key, value in options.items() if value is not None}
    try:
        server = ServerConfig.model_validate(config.server.model_dump() | given)
    except ValidationError as exc:
        wrong = exc.errors()[0]
        option = str(wrong["loc"][0]).replace("_", "-")
        raise ConfigError(f"--{option} is {wrong['input']}; expected a port between 0 and 65535.") from exc
    return config.model_copy(update={"server": server})
