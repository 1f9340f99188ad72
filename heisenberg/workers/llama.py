"""llama.cpp's own server, embedded (xllamacpp), in a process of its own.

Answers on HTTP like ``llama-server``; used where no llama-server is installed. The key comes from the
environment (``LLAMA_API_KEY``), not from the command line, which other users of the machine can read.
"""

import argparse
import logging
import os
import sys
import threading

import xllamacpp

from heisenberg.workers.lifeline import end_with_parent

POOLINGS = {
    "mean": xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN,
    "cls": xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_CLS,
    "last": xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_LAST,
}
"""How the vectors of tokens become one."""


def parameters(args: argparse.Namespace) -> xllamacpp.CommonParams:
    """llama.cpp's parameters for these arguments."""
    params = xllamacpp.CommonParams()
    params.model.path = args.model
    params.model_alias = {args.alias}
    params.hostnames = [args.host]
    params.port = args.port
    params.n_ctx = args.ctx_size
    params.n_parallel = args.parallel
    params.n_batch = params.n_ubatch  # a request that is given up is noticed between batches; larger ones gain nothing
    params.use_jinja = True
    params.endpoint_metrics = False
    params.verbosity = 0
    if args.gpu_layers >= 0:
        params.n_gpu_layers = args.gpu_layers
    if args.threads > 0:
        params.cpuparams.n_threads = args.threads
        params.cpuparams_batch.n_threads = args.threads
    if args.embeddings:
        params.embedding = True
        if args.pooling:
            params.pooling_type = POOLINGS[args.pooling]
    if key := os.environ.get("LLAMA_API_KEY"):
        params.api_keys = [key]
    return params


def main() -> None:
    """Load, then serve until the parent is gone (unless started by hand) or a signal comes."""
    if not os.environ.get("HEISENBERG_STANDALONE"):
        end_with_parent()
    logging.basicConfig(level=logging.INFO)
    parser = argparse.ArgumentParser(description="llama.cpp's server, embedded.")
    parser.add_argument("--model", required=True)
    parser.add_argument("--alias", required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--ctx-size", type=int, default=2048)
    parser.add_argument("--parallel", type=int, default=1)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--gpu-layers", type=int, default=-1)
    parser.add_argument("--embeddings", action="store_true")
    parser.add_argument("--pooling", choices=POOLINGS)
    args = parser.parse_args()
    try:
        server = xllamacpp.Server(parameters(args))
    except (RuntimeError, ValueError) as exc:
        sys.exit(f"llama.cpp cannot load {args.model}: {exc}")
    print(f"listening on {server.listening_address}", flush=True)  # noqa: T201 - the parent keeps it as the last line
    threading.Event().wait()


if __name__ == "__main__":
    main()
