"""The pages that people wrote agree with the program: links, commands, keys, paths and make's targets exist."""

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from heisenberg.cli import build_parser
from heisenberg.core.config import Config
from heisenberg.core.settings import load

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
WRITTEN = [page for page in PAGES if page.parent.name != "reference"]
"""The reference is generated; other tests hold it."""

FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
COMMAND = re.compile(r"^(?:\.venv/bin/)?heisenberg(?= |$)")
KEY = re.compile(rf"({'|'.join(Config.model_fields)})\.([a-z_]+)(?: = .+)?")
SOURCE_FILE = re.compile(r"[\w.-]+(?:/[\w.-]+)+\.(?:py|sh|md|svg|toml)|\w+\.py")


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def prose(page: Path) -> str:
    """*page* without its blocks of code."""
    return FENCE.sub("", text_of(page))


def anchors(page: Path) -> set[str]:
    """What GitHub makes of the headings."""
    titles = [re.sub(r"[^\w\- ]", "", title.lower()) for title in HEADING.findall(prose(page))]
    return {title.strip().replace(" ", "-") for title in titles}


def lines_of_code() -> Iterator[tuple[Path, str]]:
    """Each line in a block of code without a language, and each piece of code within a sentence."""
    for page in WRITTEN:
        for _, language, block in FENCE.findall(text_of(page)):
            if language in ("", "sh", "bash"):
                yield from ((page, line.strip()) for line in block.splitlines())
        yield from ((page, code) for code in CODE.findall(prose(page)))


def commands() -> Iterator[tuple[str, str]]:
    """Page and arguments of each ``heisenberg …``."""
    for page, line in lines_of_code():
        if "…" in line:
            continue
        for command in re.split(r" \| | && ", line.split(" # ")[0]):
            if COMMAND.match(command):
                yield page.name, COMMAND.sub("", command).strip()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    dead = []
    for link in LINK.findall(prose(page)):
        target, _, anchor = link.partition("#")
        if "://" in link:
            continue
        found = (page.parent / target).resolve() if target else page
        if not found.exists() or (anchor and anchor not in anchors(found)):
            dead.append(link)

    assert [] == dead


def test_every_decision_is_listed() -> None:
    listed = set(re.findall(r"decisions/(\S+\.md)", text_of(ROOT / "docs" / "architecture.md")))

    assert {page.name for page in (ROOT / "docs" / "decisions").glob("*.md")} == listed


@pytest.mark.parametrize(("page", "arguments"), sorted(set(commands())))
def test_every_command_can_be_parsed(
    page: str, arguments: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what it sets is a key that takes that value."""
    monkeypatch.chdir(tmp_path)
    words = shlex.split(arguments)
    if len(words) <= 1 or words[-1] == "--help":  # it is named, not run; it may have to be completed
        with pytest.raises(SystemExit, match="^0$"):
            build_parser().parse_args([*words, "--help"])
    else:
        parsed = build_parser().parse_args(words)
        load(None, dict(parsed.set or ()))


def test_commands_were_found() -> None:
    """The search above would not notice if it found nothing."""
    assert {
        "run",
        "serve",
        "demo",
        "ask",
        "say",
        "transcribe",
        "models",
        "osc",
        "devices",
        "doctor",
        "bench",
        "config",
        "replay",
    } == {arguments.split()[0] for _, arguments in commands() if arguments and not arguments.startswith("-")}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_of_configuration_is_valid(page: Path) -> None:
    for _, language, block in FENCE.findall(text_of(page)):
        if language == "toml":
            Config.model_validate(tomllib.loads(block))


def test_no_section_is_given_as_an_inline_table() -> None:
    """At the end of a file that has sections already it would become a key of the last of them."""
    inline = re.compile(rf"^ *({'|'.join(Config.model_fields)}) = \{{", re.MULTILINE)

    given = [(page.name, found) for page in PAGES for found in inline.findall(text_of(page))]

    assert [] == given


def test_every_key_exists() -> None:
    unknown = []
    for page, code in lines_of_code():
        if found := KEY.fullmatch(code):
            section = Config.model_fields[found[1]].annotation
            assert section is not None
            names = {field.alias or name for name, field in section.model_fields.items()}
            if found[2] not in names and not SOURCE_FILE.fullmatch(code):
                unknown.append((page.name, code))

    assert [] == unknown


def test_every_file_that_is_named_exists() -> None:
    named = {(page.name, code) for page, code in lines_of_code() if SOURCE_FILE.fullmatch(code)}

    missing = [found for found in named if not any((root / found[1]).exists() for root in (ROOT, ROOT / "heisenberg"))]

    assert [] == missing


def test_every_target_of_make_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", text_of(ROOT / "Makefile"), re.MULTILINE))

    named = {found[1] for _, code in lines_of_code() if (found := re.match(r"make ([a-z]+)", code))}

    assert named
    assert named <= targets
