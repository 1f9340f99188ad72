"""Behind ``start_llama_server.sh``: becomes the same server that Heisenberg would start as its child."""

import argparse
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from heisenberg.runner.catalog.store import Store

PREFERRED = "lfm2-350m"


def main() -> int:
    """Replace this process by the server; returns only if it cannot."""
    parser = argparse.ArgumentParser(prog="start_llama_server.sh", description="Start the language model's server.")
    parser.add_argument("--model", metavar="NAME|FILE.gguf", help=f"default: {PREFERRED} if installed, else any")
    parser.add_argument("--port", type=int, default=8080, help="default: 8080")
    parser.add_argument("--ctx-size", type=int, help="context window in tokens (default: llm.context_tokens)")
    parser.add_argument("more", nargs="*", metavar="-- ARGS", help="more arguments for an installed llama-server")
    args = parser.parse_args()
    from heisenberg.core.errors import HeisenbergError

    try:
        argv = _argv(args)
    except HeisenbergError as exc:
        print(f"start_llama_server.sh: {exc.message}", file=sys.stderr)
        return exc.exit_status
    print(f"Starting {' '.join(argv)}", file=sys.stderr, flush=True)
    os.environ["HEISENBERG_STANDALONE"] = "1"  # the embedded server must not watch its standard input
    os.execvp(argv[0], argv)


def _argv(args: argparse.Namespace) -> tuple[str, ...]:
    from heisenberg.core.errors import PortInUse
    from heisenberg.core.settings import load
    from heisenberg.runner import engines
    from heisenberg.runner.catalog.store import Store

    config = load().config
    store = Store(config.models.folder)
    name = args.model or _installed_model(store, config.llm.model)
    model = store.find(name).file(".gguf")
    if not engines.is_free_port(args.port):
        raise PortInUse(f"Port {args.port} is in use. Choose another with --port.")
    overrides = {"server_args": [*config.llm.server_args, *args.more]}
    if args.ctx_size:
        overrides["context_tokens"] = args.ctx_size
    llm = config.llm.model_copy(update=overrides)
    program = engines.find_llama_server(llm.server_path)
    return engines.llama_argv(program, name, model, llm, args.port)


def _installed_model(store: "Store", configured: str) -> str:
    names = [model.name for model in store.installed() if model.kind == "llm"]
    return PREFERRED if PREFERRED in names else next(iter(names), configured)


if __name__ == "__main__":
    sys.exit(main())
