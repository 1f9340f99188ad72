#!/bin/sh
# Starts the language model's server by hand, as Heisenberg itself would: a llama-server from the PATH (or
# llm.server_path), else the embedded one. Then point Heisenberg at it: llm.url = "http://127.0.0.1:8080".
#
#   ./start_llama_server.sh [--model NAME|FILE.gguf] [--port 8080] [-- MORE LLAMA-SERVER ARGUMENTS]
#
# Without --model it takes LFM2-350M if that is installed, else the first installed language model.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
python="$here/.venv/bin/python"
[ -x "$python" ] || python=python3
exec "$python" -m heisenberg.commands.llama_server "$@"
