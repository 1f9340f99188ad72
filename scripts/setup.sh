#!/bin/sh
# Creates .venv and installs Heisenberg into it, with the versions of constraints.txt.
# A second run does nothing until pyproject.toml or constraints.txt change. PYTHON=… chooses the interpreter.
set -eu
cd "$(dirname "$0")/.."

venv=.venv
stamp=$venv/.installed
oldest="3, 11"
candidates=${PYTHON:-python3.13 python3.12 python3.11 python3}

# A name on the PATH may be a stub that only complains, so each candidate has to run.
is_new_enough() {
    "$1" -c "import sys; sys.exit(sys.version_info[:2] < ($oldest))" >/dev/null 2>&1
}

can_make_venvs() {
    "$1" -c 'import ensurepip, venv' >/dev/null 2>&1 # Debian keeps ensurepip in python3-venv
}

find_python() {
    for name in $candidates; do
        if is_new_enough "$name" && can_make_venvs "$name"; then
            command -v "$name"
            return 0
        fi
    done
    return 1
}

is_debian_root() {
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1
}

complain() {
    found=""
    for name in $candidates; do
        version=$("$name" --version 2>/dev/null) && found="$found $name ($version)"
    done
    echo "Heisenberg needs Python 3.11 or newer with its venv module; found:${found:- none}." >&2
    case $(uname -s) in
        Darwin) echo "Install one: brew install python@3.12, or from https://www.python.org/downloads/" >&2 ;;
        *) echo "Install one, for example on Debian or Ubuntu: sudo apt-get install python3 python3-venv" >&2 ;;
    esac
    exit 1
}

if [ -e "$stamp" ] && [ ! pyproject.toml -nt "$stamp" ] && [ ! constraints.txt -nt "$stamp" ] \
    && "$venv/bin/python" -c 'import heisenberg' >/dev/null 2>&1; then
    exit 0
fi

if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    if ! python=$(find_python); then
        is_debian_root || complain
        scripts/system_packages.sh install python3 python3-venv || complain
        python=$(find_python) || complain
    fi
    echo "Creating $venv with $("$python" --version)"
    "$python" -m venv --clear "$venv"
fi

echo "Installing Heisenberg and its Python packages into $venv (about 260 MB to download the first time)"
verbosity=-qq
[ -t 1 ] && verbosity=--progress-bar=on
"$venv/bin/python" -m pip install $verbosity --disable-pip-version-check -c constraints.txt -e '.[dev]'
touch "$stamp"
