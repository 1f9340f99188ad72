#!/bin/sh
# What Python's packages cannot bring: PortAudio on Linux, and for the tests a sound server and espeak-ng.
#
#   system_packages.sh run               what running needs
#   system_packages.sh test              what all tests need
#   system_packages.sh install NAME...   these, now (root on Debian or Ubuntu only)
#
# Root on Debian or Ubuntu: installs what is missing. Everybody else: says what is missing and how to get it.
# Never asks for a password; never fails because of something that can be done without.
set -eu
PATH=$PATH:/usr/sbin:/sbin # ldconfig

is_there() {
    case $1 in
        libportaudio2) ldconfig -p 2>/dev/null | grep -q 'libportaudio\.so' ;;
        pulseaudio-utils) command -v pactl >/dev/null 2>&1 ;;
        libasound2-plugins)
            for file in /usr/lib*/alsa-lib/libasound_module_pcm_pulse.so /usr/lib/*/alsa-lib/libasound_module_pcm_pulse.so; do
                [ -e "$file" ] && return 0
            done
            return 1
            ;;
        *) command -v "$1" >/dev/null 2>&1 ;;
    esac
}

install() {
    echo "Installing system packages with apt-get: $*"
    export DEBIAN_FRONTEND=noninteractive
    options="-qq -o Acquire::Retries=1 -o Acquire::http::Timeout=20 -o Dpkg::Use-Pty=0"
    # shellcheck disable=SC2086 # the options are several words
    apt-get $options update >/dev/null && apt-get $options install -y --no-install-recommends "$@" >/dev/null
}

how_to_install() {
    if command -v apt-get >/dev/null 2>&1; then
        echo "sudo apt-get install $*"
    elif command -v brew >/dev/null 2>&1 || [ "$(uname -s)" = Darwin ]; then
        echo "brew install $*"
    elif command -v dnf >/dev/null 2>&1; then
        echo "sudo dnf install $*" | sed -e 's/libportaudio2/portaudio/' -e 's/libasound2-plugins/alsa-plugins-pulseaudio/'
    elif command -v pacman >/dev/null 2>&1; then
        echo "sudo pacman -S $*" | sed -e 's/libportaudio2/portaudio/' -e 's/libasound2-plugins/alsa-plugins/' -e 's/pulseaudio-utils/libpulse/'
    else
        echo "your system's package manager"
    fi
}

case ${1:-} in
    install)
        shift
        install "$@"
        exit
        ;;
    run)
        wanted=libportaudio2
        without="There is no microphone and no speaker without it; files work."
        ;;
    test)
        wanted="libportaudio2 pulseaudio pulseaudio-utils libasound2-plugins espeak-ng"
        without="The tests that need them are skipped."
        ;;
    *)
        echo "usage: system_packages.sh run | test | install NAME..." >&2
        exit 2
        ;;
esac

# PortAudio comes with Python's sounddevice on macOS, and PulseAudio is not how a Mac makes sound.
[ "$(uname -s)" = Darwin ] && { [ "$1" = test ] && wanted=espeak-ng || exit 0; }

missing=""
for name in $wanted; do
    is_there "$name" || missing="$missing $name"
done
[ -z "$missing" ] && exit 0

# shellcheck disable=SC2086 # a list of words
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    install $missing || echo "Could not install$missing. $without"
else
    echo "Missing:$missing. $without To get them: $(how_to_install $missing)"
fi
