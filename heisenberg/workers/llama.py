"""llama.cpp's own server, embedded (xllamacpp), in a process of its own.

Answers on HTTP like ``llama-server``; used where no llama-server is installed. The key comes from the
environment (``LLAMA_API_KEY``), not from the command line, which other users of the machine can read. Takes the
options of ``llama_table.py``, in llama-server's words.
"""

import argparse
import logging
import os
import sys
import threading
from collections.abc import Callable, Sequence
from typing import NoReturn

import xllamacpp

from heisenberg.workers.lifeline import end_with_parent
from heisenberg.workers.llama_table import OPTIONS

OLD_PROMPTS_MIB = 128
"""What is kept of earlier prompts beside those of the slots. llama.cpp would keep 8 GiB, which fills in an evening of
ambient mode: its prompts are all alike and never the same."""

Given = Sequence[tuple[str, str | None]]
"""Options in the order of the command line, with their values; None for a flag."""


def parameters(model: str, alias: str, host: str, port: int, given: Given = ()) -> xllamacpp.CommonParams:
    """llama.cpp's parameters. Raises ValueError, which names the option, if a value is not allowed."""
    params = xllamacpp.CommonParams()
    params.model.path = model
    params.model_alias = {alias}
    params.hostnames = [host]
    params.port = port
    params.n_ctx = 2048
    params.n_batch = params.n_ubatch  # a request that is given up is noticed between batches; larger ones gain nothing
    params.cache_ram_mib = OLD_PROMPTS_MIB
    params.use_jinja = True
    params.endpoint_metrics = False
    params.verbosity = 0
    for name, value in sorted(given, key=lambda option: option[0] != "threads"):  # threads-batch is more particular
        try:
            OPTIONS[name].apply(params, value)
        except (ValueError, KeyError, TypeError, AttributeError, ZeroDivisionError, OverflowError) as exc:
            raise ValueError(f'--{name} cannot be "{value}" ({exc})') from exc
    if any(name == "reranking" for name, _ in given):
        params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_RANK
    if key := os.environ.get("LLAMA_API_KEY"):
        params.api_keys = [key]
    return params


def main() -> None:
    """Load, then serve until the parent is gone (unless started by hand) or a signal comes."""
    if not os.environ.get("HEISENBERG_STANDALONE"):
        end_with_parent()
    logging.basicConfig(level=logging.INFO)
    model, alias, host, port, given = _command_line(sys.argv[1:])
    try:
        server = xllamacpp.Server(parameters(model, alias, host, port, given))
    except (RuntimeError, ValueError) as exc:
        sys.exit(f"llama.cpp cannot load {model}: {exc}")
    print(f"listening on {server.listening_address}", flush=True)  # noqa: T201 - the parent keeps it as the last line
    threading.Event().wait()


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        # The last line is what the user is shown.
        sys.exit(f"the embedded server: {message}")


def _command_line(words: Sequence[str]) -> tuple[str, str, str, int, Given]:
    """Model, alias, host, port, and the options of :data:`OPTIONS` that are given."""
    parser = _Parser(description="llama.cpp's server, embedded.", allow_abbrev=False)
    parser.add_argument("--model", required=True)
    parser.add_argument("--alias", required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    for name, option in OPTIONS.items():
        if option.read is None:
            parser.add_argument(f"--{name}", dest="given", action="append_const", const=(name, None))
        else:
            parser.add_argument(f"--{name}", dest="given", action="append", type=_pair(name), metavar="VALUE")
    args, unknown = parser.parse_known_args(words)
    if unknown:
        parser.error(f"it does not know {unknown[0]}; install llama-server, or take the option out")
    return args.model, args.alias, args.host, args.port, args.given or ()


def _pair(name: str) -> Callable[[str], tuple[str, str]]:
    return lambda value: (name, value)


if __name__ == "__main__":
    main()
