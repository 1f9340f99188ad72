#!/bin/sh
# Installs what stt.engine = "moshi" needs into .venv: PyTorch, a few small packages, and Kyutai's own (moshi).
# A second run does nothing until pyproject.toml or constraints.txt change. Why it is a step of its own, and why moshi
# comes without its dependencies: docs/decisions/0008-moshi-environment.md.
#
#   MOSHI_MLX=1    on Apple silicon, also Kyutai's engine for MLX
set -eu
cd "$(dirname "$0")/.."

venv=.venv
python=$venv/bin/python
stamp=$venv/.moshi-installed
mlx=${MOSHI_MLX:-}

can_import() {
    NO_TORCH_COMPILE=1 "$python" -c 'import moshi.models' >/dev/null 2>&1
}

is_apple_silicon() {
    [ "$(uname -s)" = Darwin ] && [ "$(uname -m)" = arm64 ]
}

has_nvidia() {
    command -v nvidia-smi >/dev/null 2>&1 && nvidia-smi -L >/dev/null 2>&1
}

pip() {
    "$python" -m pip --disable-pip-version-check "$@"
}

install() {
    verbosity=-qq
    [ -t 1 ] && verbosity=--progress-bar=on
    pip install $verbosity -c constraints.txt "$@"
}

# On Linux the usual PyTorch brings CUDA along, several gigabytes that nothing here could use without an NVIDIA GPU.
# Some package sources have a smaller one under the same name, so it is looked at what would come.
brings_cuda() {
    pip install -qq --dry-run --report - -c constraints.txt torch | grep -q '"name": "nvidia-'
}

has_torch() {
    wanted=$(sed -n 's/^torch==//p' constraints.txt)
    "$python" -c "import sys, torch; sys.exit(torch.__version__.split('+')[0] != '$wanted')" >/dev/null 2>&1
}

install_torch() {
    has_torch && return 0
    if [ "$(uname -s)" = Linux ] && ! has_nvidia && brings_cuda; then
        echo "No NVIDIA GPU found: installing PyTorch without CUDA"
        install uv
        "$venv/bin/uv" pip install --quiet --python "$python" --torch-backend=cpu -c constraints.txt torch
    else
        install torch
    fi
}

if [ -n "$mlx" ] && ! is_apple_silicon; then
    echo "MOSHI_MLX=1 needs a Mac with Apple silicon; without it, make moshi installs what runs here" >&2
    exit 1
fi
if [ -e "$stamp" ] && [ ! pyproject.toml -nt "$stamp" ] && [ ! constraints.txt -nt "$stamp" ] && [ -z "$mlx" ] \
    && can_import; then
    exit 0
fi

echo "Installing PyTorch and Kyutai's recogniser into $venv (about 200 MB to download; with CUDA 3 GB)"
install_torch
install -e '.[moshi]'
install --no-deps moshi
if [ -n "$mlx" ]; then
    install mlx rustymimi==0.4.1
    install --no-deps moshi_mlx==0.3.0
fi
can_import || { echo "Installed, but 'import moshi.models' fails:" >&2; NO_TORCH_COMPILE=1 "$python" -c 'import moshi.models'; }
touch "$stamp"
