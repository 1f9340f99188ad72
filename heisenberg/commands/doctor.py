"""``heisenberg doctor``: every check with its remedy."""

import argparse
import asyncio
import json
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from heisenberg.checkup import Finding
    from heisenberg.core.config import Config

MARKS = {"ok": "✓", "warning": "!", "failed": "✗"}


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register the command."""
    parser = subparsers.add_parser("doctor", help="check this machine, with a remedy for each fault")
    parser.add_argument("--json", action="store_true", help="print a JSON list")
    parser.set_defaults(run=execute)


def execute(args: argparse.Namespace, config: "Config") -> int:
    """Print the checks; 1 if one failed."""
    from dataclasses import asdict

    from heisenberg.checkup import OLLAMA_MODEL, examine
    from heisenberg.commands.pull_offer import offer

    findings = asyncio.run(examine(config))
    if args.json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2, ensure_ascii=False))
    else:
        _print(findings)
        if any((finding.name, finding.status) == (OLLAMA_MODEL, "failed") for finding in findings) and offer(config):
            findings = [finding for finding in findings if finding.name != OLLAMA_MODEL]
    return 1 if any(finding.status == "failed" for finding in findings) else 0


def _print(findings: "list[Finding]") -> None:
    encoding = sys.stdout.encoding or "ascii"
    for finding in findings:
        mark = MARKS[finding.status] if encoding.lower().startswith("utf") else finding.status
        print(f"{mark} {finding.name}: {finding.found}")
        if finding.remedy:
            print(f"    → {finding.remedy}")
