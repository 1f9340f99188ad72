"""Which pages may use the server."""

import pytest

from heisenberg.core.config import ServerConfig
from heisenberg.core.errors import ConfigError
from heisenberg.server.origins import Origins, is_same, preflight_headers

DEFAULT = Origins(ServerConfig().cors_origins)


@pytest.mark.parametrize(
    "origin",
    [
        "http://localhost", "http://localhost:3000", "http://127.0.0.1:8080", "app://obsidian.md", "tauri://localhost",
        "vscode-webview://0abc", "file://", "HTTP://LOCALHOST:3000",
    ],
)  # fmt: skip
def test_local_pages_and_programs_may_by_default(origin: str) -> None:
    assert DEFAULT.allows(origin)


@pytest.mark.parametrize(
    "origin",
    [
        "null", "", "https://evil.example", "http://localhost.evil.example", "http://localhost@evil.example",
        "http://evil.example/http://localhost", "https://localhost:3000", "http://localhost:99999", "localhost",
        "http://[::1", "javascript:alert(1)", "http://localhost?x=1",
    ],
)  # fmt: skip
def test_other_pages_may_not(origin: str) -> None:
    assert not DEFAULT.allows(origin)


def test_an_entry_with_a_port_is_that_port() -> None:
    origins = Origins(["https://chat.example:8443", "http://plain.example:80"])

    assert [origins.allows(page) for page in ("https://chat.example:8443", "https://chat.example")] == [True, False]
    assert origins.allows("http://plain.example")


@pytest.mark.parametrize("entry", ["*", "https://*", "http://*"])
def test_entries_for_the_whole_web_are_known_as_such(entry: str) -> None:
    assert Origins([entry]).are_all


@pytest.mark.parametrize("entry", ["localhost", "http://", "http://*.example", "http://a/b", "", "http://a:x"])
def test_an_entry_that_is_no_origin_is_told(entry: str) -> None:
    with pytest.raises(ConfigError, match="server.cors_origins has"):
        Origins([entry])


@pytest.mark.parametrize(
    ("origin", "host", "expected"),
    [
        ("http://127.0.0.1:1234", "127.0.0.1:1234", True),
        ("http://studio.local", "studio.local", True),
        ("https://studio.local", "studio.local:443", True),
        ("http://[::1]:1234", "[::1]:1234", True),
        ("http://127.0.0.1:3000", "127.0.0.1:1234", False),
        ("http://localhost:1234", "127.0.0.1:1234", False),
        ("null", "null", False),
        ("app://studio", "studio", False),
    ],
)
def test_a_page_of_ours_is_known(origin: str, host: str, expected: bool) -> None:
    assert expected == is_same(origin, host)


def test_a_preflight_repeats_the_headers_that_are_asked_for() -> None:
    asked = [(b"access-control-request-headers", b"x-stainless-os,authorization")]
    headers = dict(preflight_headers(["POST"], asked))

    assert headers[b"access-control-allow-headers"] == b"x-stainless-os,authorization"


def test_a_preflight_does_not_repeat_nonsense() -> None:
    headers = dict(preflight_headers(["POST"], [(b"access-control-request-headers", b"x: y")]))

    assert b"authorization" in headers[b"access-control-allow-headers"]


def test_credentials_are_never_allowed() -> None:
    names = {name for name, _ in preflight_headers(["POST"], [(b"access-control-request-private-network", b"true")])}

    assert b"access-control-allow-credentials" not in names
    assert b"access-control-allow-private-network" in names
