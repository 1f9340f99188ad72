"""How long headers take, cold and kept. Not a test: times depend on the machine.

python -m tests.unit.runner.catalog.measure_headers
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from heisenberg.runner.catalog.gguf import read_header
from heisenberg.runner.catalog.headers import Headers
from tests.fakes.gguf_writer import Tensor, Typed, write_gguf

VOCABULARY, MERGES, MODELS, REPEATS = 151_936, 151_387, 200, 9


def main() -> None:
    """Print the times."""
    with tempfile.TemporaryDirectory() as scratch:
        _measure(Path(scratch))


def _measure(scratch: Path) -> None:
    large = _large_model(scratch / "large.gguf")
    kept = scratch / "kept"
    _report(f"header with {VOCABULARY} tokens", lambda: read_header(large))
    headers = Headers(kept)
    headers.of(large)
    _report("the same, kept on disk", lambda: Headers(kept).of(large))
    _report("the same, in memory", lambda: headers.of(large))
    content = large.read_bytes()
    models = [scratch / f"{number}.gguf" for number in range(MODELS)]
    for model in models:
        model.write_bytes(content)
    begin = time.perf_counter()
    for model in models:
        headers.of(model)
    print(f"{MODELS} such models, cold: {time.perf_counter() - begin:.1f} s")
    fresh = Headers(kept)
    begin = time.perf_counter()
    for model in models:
        fresh.of(model)
    print(f"{MODELS} such models, kept on disk: {1000 * (time.perf_counter() - begin):.1f} ms")
    _report(f"{MODELS} such models, in memory", lambda: [headers.of(model) for model in models])


def _large_model(path: Path) -> Path:
    """As large a header as Qwen's models have."""
    fields: dict[str, object] = {
        "general.architecture": "qwen3",
        "qwen3.context_length": 40960,
        "tokenizer.ggml.tokens": [f"Ġtoken{number % 997}" for number in range(VOCABULARY)],
        "tokenizer.ggml.token_type": Typed("i32", [1] * VOCABULARY),
        "tokenizer.ggml.merges": [f"Ġtok en{number % 997}" for number in range(MERGES)],
        "tokenizer.chat_template": "{% if tools %}" + "{{ messages }}" * 300,
        "general.file_type": 15,
    }
    return write_gguf(path, fields, [Tensor(f"blk.{number}.weight", (32, 32)) for number in range(400)])


def _report(what: str, run: Callable[[], object]) -> None:
    times_ms = []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        run()
        times_ms.append(1000 * (time.perf_counter() - begin))
    print(f"{what}: median {statistics.median(times_ms):.3f} ms, worst of {REPEATS} {max(times_ms):.3f} ms")


if __name__ == "__main__":
    main()
