"""The guide to OSC says what the program does."""

import re
import textwrap
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from heisenberg.core import events
from heisenberg.core.audio import Meters
from heisenberg.core.config import OscConfig
from heisenberg.core.drops import Drops
from heisenberg.sinks.datagram import encode_json
from heisenberg.sinks.osc import OscSink
from heisenberg.sinks.osc_commands import NAMES, PREFIX, PULSES, TEXTS, Command, understood
from heisenberg.sinks.targets import Targets
from tests.osc_decoder import decode_message

GUIDE = (Path(__file__).parents[3] / "docs" / "osc-touchdesigner.md").read_text(encoding="utf-8")


class Recorder(Targets):
    """Receivers that write down what they get."""

    def __init__(self) -> None:
        super().__init__(["127.0.0.1:9"])
        self.tags: dict[str, str] = {}

    def send(self, datagram: bytes, to: object = None) -> bool:
        address, tags, _ = decode_message(datagram)
        self.tags[address] = tags
        return True


async def everything_sent() -> dict[str, str]:
    recorder = Recorder()
    drops = Drops()
    drops.count("microphone")
    async with OscSink(OscConfig(), Meters(), None, "1.0", targets=recorder, drops=drops) as sink:
        samples = {str: "text", float: 1.0, int: 1, bool: True}
        for turn, kind in enumerate(events.all_events(), 1):
            fields = {name: samples.get(hint, {}) for name, hint in kind.__annotations__.items()}
            sink.handle(kind(**{"turn": turn, "at": 0.0, **fields}))
        sink.handle(events.VisualUpdated(turn=99, at=0.0, field="prompt", value="waves"))
        sink.handle(events.LlmComplete(turn=99, at=0.0, text="", visual={"prompt": "x" * 5000}, tokens=1))
        sink.send_levels()
        sink.send_pong(1)
        sink.beat()
    return recorder.tags


def blocks() -> list[str]:
    return re.findall(r"```python\n(.*?) *```", GUIDE, re.DOTALL)


async def test_the_table_holds_every_address_and_no_other() -> None:
    rows = dict(re.findall(r"^\| `(/\S+)` \| ([a-z ]+) \|", GUIDE, re.MULTILINE))
    sent = await everything_sent()
    del sent["/visual/text"]  # a /visual/<field>
    del rows["/visual/<field>"]
    rows = {address: types for address, types in rows.items() if not address.startswith(PREFIX)}

    assert {address: types.replace(" ", "") for address, types in rows.items()} == sent


def test_the_table_of_commands_holds_every_one() -> None:
    rows = set(re.findall(rf"^\| `{PREFIX}(\S+)` \|", GUIDE, re.MULTILINE))

    assert {*PULSES, *TEXTS, *NAMES, "mute"} == rows


def test_the_callback_keeps_the_latest_value_of_each_address() -> None:
    class Table(dict[tuple[str, int], Any]):
        """As much of a Table DAT as the script uses."""

        def row(self, name: str) -> list[str] | None:
            return [name, self[name, 1]] if (name, 1) in self else None

        def appendRow(self, cells: list[Any]) -> None:
            self[cells[0], 1] = cells[1]

    table = Table()
    scope: dict[str, Any] = {"op": lambda name: {"visuals": table}[name]}
    exec(blocks()[0], scope)  # the guide's own script
    for address, args in (
        ("/visual/prompt", ["waves"]),
        ("/heisenberg/level", [0.5]),
        ("/visual/prompt", ["stars"]),
        ("/visual/mood", []),
        ("/heisenberg/transcript/final", ["The sea?"]),
    ):
        scope["onReceiveOSC"](None, 1, "", b"", 0.0, address, args, None)

    assert table == {("/visual/prompt", 1): "stars", ("/heisenberg/transcript/final", 1): "The sea?"}


class Parameter:
    """As much of a parameter as the script uses."""

    def __init__(self) -> None:
        self.written: list[object] = []

    def eval(self) -> object:
        return self.written[-1] if self.written else ""

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "val":
            self.written.append(value)
        else:
            super().__setattr__(name, value)


def test_the_prompt_is_painted_once_however_often_it_is_repeated() -> None:
    parameter = Parameter()
    component = SimpleNamespace(par=SimpleNamespace(Prompt=parameter))
    scope: dict[str, Any] = {"op": lambda name: {"StreamDiffusionTD": component}[name]}
    exec(textwrap.dedent(blocks()[2]), scope)  # the guide's own script
    for address, args in (
        ("/visual/prompt", ["waves"]),
        ("/visual/prompt", ["waves"]),
        ("/visual/mood", ["calm"]),
        ("/visual/prompt", []),
        ("/visual/prompt", ["stars"]),
    ):
        scope["onReceiveOSC"](None, 1, "", b"", 0.0, address, args, None)

    assert ["waves", "stars"] == parameter.written


def test_the_guides_commands_are_understood() -> None:
    sent: list[Command | None] = []
    out = SimpleNamespace(sendOSC=lambda address, values: sent.append(understood(address, values)))
    scope: dict[str, Any] = {"op": lambda name: {"commands": out}[name]}
    exec(textwrap.dedent(blocks()[3]), scope)  # the guide's own script
    scope["mute"](True)
    scope["style"]("particles")
    scope["announce"]("Welcome.")

    assert [Command("mute", is_on=True), Command("preset", "particles"), Command("say", "Welcome.")] == sent


def test_the_pieces_are_put_together_in_any_order() -> None:
    scope: dict[str, Any] = {}
    exec(blocks()[1], scope)  # the guide's own script
    sent = encode_json("/visual/json", {"prompt": "é" * 2000}, 7, 256)

    results = [scope["onPiece"](decode_message(datagram)[2]) for _, datagram in reversed(sent)]

    assert len(results) > 2
    assert results[:-1] == [None] * (len(results) - 1)
    assert results[-1] == {"prompt": "é" * 2000}
