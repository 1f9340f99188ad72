"""``heisenberg devices``: the microphones and loudspeakers that the configuration may name."""

import argparse
import json
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from heisenberg.audio.devices import Device
    from heisenberg.core.config import Config


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register the command."""
    parser = subparsers.add_parser("devices", help="list microphones and loudspeakers")
    parser.add_argument("--json", action="store_true", help="print a JSON list")
    parser.set_defaults(run=execute)


def execute(args: argparse.Namespace, config: "Config") -> int:
    """Print the devices. Raises AudioError without PortAudio."""
    from dataclasses import asdict

    from heisenberg.audio.devices import list_devices

    devices = list_devices()
    if args.json:
        print(json.dumps([asdict(device) for device in devices], indent=2, ensure_ascii=False))
    elif devices:
        _print(devices)
    else:
        print("There is no sound device. Files work without: --input FILE.wav --output FILE.wav", file=sys.stderr)
    return 0


def _print(devices: "list[Device]") -> None:
    width = max(len(device.name) for device in devices) + 2
    print(f"{'#':>3}  {'name':<{width}}  {'in':>3} {'out':>3}  {'Hz':>6}  system")
    for device in devices:
        name = f'"{device.name}"'
        print(
            f"{device.index:>3}  {name:<{width}}  {device.input_channels:>3} {device.output_channels:>3}"
            f"  {device.default_rate_hz:>6}  {device.host_api}{_defaults(device)}"
        )
    print("\nPut a part of a name into audio.input_device or audio.output_device.", file=sys.stderr)


def _defaults(device: "Device") -> str:
    roles = [("input", device.is_default_input), ("output", device.is_default_output)]
    names = " and ".join(role for role, is_default in roles if is_default)
    return f" (default {names})" if names else ""
