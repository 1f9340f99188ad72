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
    parser.set_defaults(run=execute)


def execute(args: argparse.Namespace, config: "Config") -> int:
    """Serve until interrupted or asked to end."""
    from heisenberg.serve import run_server

    given = {"host": args.host, "port": args.port, "ollama_port": args.ollama_port}
    changed = config.server.model_copy(update={key: value for key, value in given.items() if value is not None})
    asyncio.run(run_server(config.model_copy(update={"server": changed}), _announce))
    return 0


def _announce(addresses: list[str]) -> None:
    print(f"Serving on {' and '.join(addresses)}. Ctrl-C ends it.", file=sys.stderr)
