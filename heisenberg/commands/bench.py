"""``heisenberg bench``: measures this machine. The tables go to standard output as Markdown."""

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from heisenberg.bench.latency import Figures
    from heisenberg.core.config import Config

WHAT = ("latency", "wakeword", "stt", "idle", "proxy", "all", "soak", "ambient")


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "bench",
        help="measure latency, wake word, speech to text, idle cost, model server and ambient mode on this machine",
        description="Measure this machine. soak (hours of room life with faults) and ambient are not part of all.",
    )
    parser.add_argument("what", nargs="?", choices=WHAT, default="all", help="default: all")
    parser.add_argument("--turns", type=_turns, default=10, help="latency: questions for each setting (default: 10)")
    parser.add_argument(
        "--write", type=Path, metavar="DIR", help="latency, proxy, stt, ambient: put the tables into DIR/benchmarks.md"
    )
    parser.add_argument("--engine", choices=("whisper", "moshi"), help="stt: which engine (default: stt.engine)")
    parser.add_argument("--model", help="stt: its model, by name or folder (default: stt.model)")
    parser.add_argument(
        "--recordings", type=Path, metavar="DIR",
        help="stt, ambient: WAV files, each beside a .txt of what is said in it (ambient: a sentence per line)",
    )  # fmt: skip
    parser.add_argument(
        "--seconds", type=_seconds, default=20.0, help="idle: seconds of listening; ambient: of talk (default: 20)"
    )
    parser.add_argument("--fast", action="store_true", help="ambient: as fast as it is understood, not in real time")
    parser.add_argument(
        "--compare-fast", action="store_true", help="ambient: in real time and then as fast as it is understood"
    )
    parser.add_argument(
        "--litellm", type=Path, metavar="PROGRAM", help="proxy: LiteLLM's proxy, to be measured beside ours"
    )
    parser.add_argument("--minutes", type=_minutes, default=60.0, help="soak: minutes of room life (default: 60)")
    parser.add_argument("--seed", type=int, default=1, help="soak: which faults come when (default: 1)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=execute)


def execute(args: argparse.Namespace, config: "Config") -> int:
    """Measure and print."""
    from dataclasses import asdict

    from heisenberg.bench import idle, table, wakeword

    results: dict[str, object] = {"machine": table.machine()}
    is_clean = True
    _say(args, f"On {table.machine()}\n")
    if args.what in ("wakeword", "all"):
        figures = asyncio.run(wakeword.measure(config))
        results["wakeword"] = asdict(figures)
        _say(args, wakeword.report(figures) + "\n")
    if args.what in ("stt", "all"):
        results["stt"] = _stt(args, config)
    if args.what in ("idle", "all"):
        cost = idle.measure(config, args.seconds)
        results["idle"] = cost
        _say(args, idle.report(cost) + "\n")
    if args.what in ("proxy", "all"):
        results["proxy"] = _proxy(args, config)
    if args.what in ("latency", "all"):
        results["latency"] = asdict(_latency(args, config))
    if args.what == "soak":
        results["soak"], is_clean = _soak(args, config)
    if args.what == "ambient":
        results["ambient"], is_clean = _ambient(args, config)
    if args.json:
        print(json.dumps(results, indent=2))
    return 0 if is_clean else 1


def _latency(args: argparse.Namespace, config: "Config") -> "Figures":
    from heisenberg.bench import latency, latency_picture, latency_report, page, table

    figures = asyncio.run(latency.measure(config, args.turns, _progress))
    _say(args, latency_report.report(figures))
    if args.write is not None:
        machine = f"{table.machine()}; {', '.join(_models(config))}"
        command = f"heisenberg bench latency --turns {args.turns} --write {args.write}"
        text = latency_report.section(figures, command, machine, page.PICTURE)
        page.write(args.write, "latency", text, latency_picture.draw(figures, machine).svg)
        _progress(f"wrote {args.write / page.PAGE} and {args.write / page.PICTURE}")
    return figures


def _proxy(args: argparse.Namespace, config: "Config") -> object:
    from dataclasses import asdict

    from heisenberg.bench import page, proxy, proxy_report, table, voice_first
    from heisenberg.core.errors import HeisenbergError
    from heisenberg.serve import new_event_loop

    if args.litellm is None:
        _progress("LiteLLM's proxy is not measured; --litellm PROGRAM names it.")
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        costs = runner.run(proxy.measure(args.litellm))
        try:
            waits = runner.run(voice_first.measure(config))
        except HeisenbergError as exc:
            _progress(f"How long the voice waits is not measured: {exc.message}")
            waits = voice_first.Waits()
    _say(args, f"{proxy_report.report(costs)}\n\n{voice_first.report(waits)}\n")
    if args.write is not None:
        command = f"heisenberg bench proxy {'--litellm litellm ' if args.litellm else ''}--write {args.write}"
        text = proxy_report.section(costs, command, f"{table.machine()}; {config.llm.model}")
        page.write(args.write, "proxy", f"{text}\n\n{voice_first.report(waits)}")
        _progress(f"wrote {args.write / page.PAGE}")
    return {"ways": proxy_report.figures(costs), "voice": asdict(waits)}


def _stt(args: argparse.Namespace, config: "Config") -> object:
    from dataclasses import asdict

    from heisenberg.bench import page, stt, table

    asked = {key: value for key, value in (("engine", args.engine), ("model", args.model)) if value}
    if args.engine and args.engine != config.stt.engine and not args.model:
        asked["model"] = "stt-1b-en_fr" if args.engine == "moshi" else "whisper-tiny.en"
    config = config.model_copy(update={"stt": config.stt.model_copy(update=asked)})
    figures = asyncio.run(stt.measure(config, args.recordings))
    _say(args, stt.report([figures]) + "\n")
    if args.write is not None:
        given = {"engine": args.engine, "model": args.model, "recordings": args.recordings}
        options = "".join(f" --{key} {value}" for key, value in given.items() if value)
        command = f"heisenberg bench stt{options} --write {args.write}"
        page.write(args.write, f"stt {figures.engine}", stt.section([figures], command, table.machine()))
        _progress(f"wrote {args.write / page.PAGE}")
    return {
        "engine": figures.engine,
        "model": figures.model,
        "real_time_factor": figures.real_time_factor,
        "word_error_rate": figures.word_error_rate,
        "hearings": [asdict(hearing) for hearing in figures.hearings],
    }


def _models(config: "Config") -> tuple[str, str, str]:
    """What listens, thinks and speaks."""
    voice = config.tts.voice if config.tts.engine in ("piper", "espeak") else config.tts.engine
    return config.stt.model, config.llm.model, voice


def _soak(args: argparse.Namespace, config: "Config") -> tuple[object, bool]:
    from dataclasses import asdict

    from heisenberg.bench import soak, soak_report

    happened = asyncio.run(soak.soak(config, minutes=args.minutes, seed=args.seed, say=_progress))
    _say(args, soak_report.report(happened))
    return asdict(happened), happened.is_clean


def _ambient(args: argparse.Namespace, config: "Config") -> tuple[object, bool]:
    from dataclasses import asdict

    from heisenberg.bench import ambient, ambient_report, page, table

    hearing = ambient.measure(
        config, args.seconds, is_fast=args.fast, say=_progress, recordings=args.recordings, compares=args.compare_fast
    )
    talked = asyncio.run(hearing)
    figures = ambient_report.judge(talked, config)
    _say(args, ambient_report.report(figures))
    if args.write is not None:
        how = " --fast" if args.fast else ""
        how += " --compare-fast" if args.compare_fast else ""
        what = f"--recordings {args.recordings}" if args.recordings else f"--seconds {args.seconds:g}"
        command = f"heisenberg bench ambient {what}{how} --write {args.write}"
        machine = ambient_report.machine_and_models(table.machine(), talked, config)
        page.write(args.write, "ambient", ambient_report.section(figures, command, machine))
        _progress(f"wrote {args.write / page.PAGE}")
    return asdict(figures), figures.is_clean


def _turns(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 10_000:
        raise argparse.ArgumentTypeError(f'"{text}" is not a number of turns from 1 to 10000')
    return int(text)


def _seconds(text: str) -> float:
    return _number(text, 1, 3600, "seconds")


def _minutes(text: str) -> float:
    return _number(text, 0.1, 100_000, "minutes")


def _number(text: str, least: float, most: float, unit: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not least <= number <= most:
        raise argparse.ArgumentTypeError(f'"{text}" is not a number of {unit} from {least:g} to {most:g}')
    return number


def _say(args: argparse.Namespace, text: str) -> None:
    if not args.json:
        print(text, flush=True)


def _progress(text: str) -> None:
    """For people who wait; standard output is for results."""
    print(text, file=sys.stderr, flush=True)
