"""Who may ask: every rule, as a table."""

from typing import Any

import pytest

from heisenberg.core.config import ServerConfig
from heisenberg.core.errors import ConfigError
from heisenberg.server.asgi import BadRequest
from heisenberg.server.security import Policy
from tests.unit.server.requests import request

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND")
CHANGES = ("POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND")
FOREIGN, LOCAL, OWN = "https://evil.example", "http://localhost:3000", "http://127.0.0.1:1234"
KEYS = {"api_key": "user-secret", "admin_key": "admin-secret"}


def status(config: dict[str, Any], method: str = "GET", path: str = "/v1/models", **headers: str | None) -> int:
    """Of the refusal; 200 if there is none."""
    refusal = Policy(ServerConfig(**config)).judge(request(method, path, **headers))
    return refusal.status if refusal else 200


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("host", ["evil.example", "", None, ":11434"])
def test_a_foreign_or_missing_host_is_refused_whatever_is_asked(method: str, host: str | None) -> None:
    """Health and preflights, too: an answer at all would tell that we are here."""
    assert {status({}, method, path, host=host) for path in ("/health", "/", "/v1/models", "/nothing")} == {403}


def test_two_hosts_are_none() -> None:
    asked = request()
    asked["headers"] = [(b"host", b"localhost"), (b"host", b"evil.example")]
    refusal = Policy(ServerConfig()).judge(asked)

    assert refusal is not None
    assert refusal.status == 403


@pytest.mark.parametrize("method", CHANGES)
def test_a_foreign_page_changes_nothing(method: str) -> None:
    """Also with a content type for which a browser asks nobody first."""
    assert status({}, method, "/v1/chat/completions", origin=FOREIGN, content_type="text/plain") == 403
    assert status({}, method, "/v1/chat/completions", origin="null") == 403


@pytest.mark.parametrize("method", CHANGES)
@pytest.mark.parametrize("origin", [None, LOCAL, OWN, "app://obsidian.md"])
def test_programs_and_known_pages_may_change_things(method: str, origin: str | None) -> None:
    assert status({}, method, "/v1/chat/completions", origin=origin) == 200


def test_a_foreign_page_may_knock_but_sees_nothing() -> None:
    policy = Policy(ServerConfig())
    asked = request(origin=FOREIGN)

    assert policy.judge(asked) is None
    assert policy.allowed_origin(asked) == ""


def test_a_foreign_preflight_is_refused() -> None:
    asked = {"origin": FOREIGN, "access_control_request_method": "POST"}

    assert status({}, "OPTIONS", "/v1/chat/completions", **asked) == 403


def test_a_page_behind_another_name_is_not_ours_by_its_host() -> None:
    """DNS rebinding: the page's origin and the Host agree, and both are the attacker's."""
    assert status({}, "POST", "/api/pull", host="evil.example:1234", origin="http://evil.example:1234") == 403


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, 401),
        ({"authorization": "Bearer wrong"}, 401),
        ({"authorization": "Bearer "}, 401),
        ({"authorization": "Basic user-secret"}, 401),
        ({"authorization": "user-secret"}, 401),
        ({"x_api_key": "user-secre"}, 401),
        ({"authorization": "Bearer user-secret"}, 200),
        ({"authorization": "bearer  user-secret "}, 200),
        ({"x_api_key": "user-secret"}, 200),
        ({"authorization": "Bearer admin-secret"}, 200),
    ],
)
@pytest.mark.parametrize("path", ["/v1/models", "/metrics", "/models", "/api/tags", "/nothing"])
def test_a_key_is_asked_for(headers: dict[str, str | None], expected: int, path: str) -> None:
    assert expected == status(KEYS, path=path, **headers)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/pull"),
        ("DELETE", "/api/delete"),
        ("POST", "/api/copy"),
        ("POST", "/api/v1/models/load"),
        ("POST", "/api/v1/models/unload"),
        ("POST", "/api/v1/models/download"),
        ("GET", "/api/v1/models/download/status/1"),
        ("GET", "/models/a/b/log"),
        ("HEAD", "/models/a/b/log"),
        ("POST", "/api/blobs/sha256:0"),
    ],
)
def test_administration_needs_its_own_key(method: str, path: str) -> None:
    answers = [
        status(KEYS, method, path),
        status(KEYS, method, path, x_api_key="user-secret"),
        status(KEYS, method, path, x_api_key="admin-secret"),
        status({"api_key": "user-secret"}, method, path, x_api_key="user-secret"),
        status({"admin_key": "admin-secret"}, method, path),
        status({}, method, path),
    ]

    assert answers == [401, 403, 200, 200, 401, 200]


@pytest.mark.parametrize(
    ("config", "key", "expected"),
    [
        (KEYS, None, 401),
        (KEYS, "user-secret", 403),
        (KEYS, "admin-secret", 200),
        ({"api_key": "user-secret"}, "user-secret", 200),
        ({"admin_key": "admin-secret"}, None, 401),
        ({}, None, 200),
    ],
)
def test_a_route_may_ask_for_the_administrators_key(config: dict[str, Any], key: str | None, expected: int) -> None:
    """As the rules do for a path; here only the body shows whose affair it is."""
    policy, asked = Policy(ServerConfig(**config)), request("POST", "/api/generate", x_api_key=key)
    try:
        policy.require_admin(asked)
        found = 200
    except BadRequest as refused:
        found = refused.status

    assert expected == found


def test_an_admin_key_alone_leaves_the_rest_open() -> None:
    assert status({"admin_key": "admin-secret"}) == 200


@pytest.mark.parametrize("path", ["/", "/health", "/ready", "/docs", "/openapi.json"])
def test_that_it_is_alive_needs_no_key(path: str) -> None:
    assert status(KEYS, path=path) == 200
    assert status(KEYS, "POST", path) == 401


def test_a_preflight_needs_no_key() -> None:
    assert status(KEYS, "OPTIONS", origin=LOCAL, access_control_request_method="GET") == 200


def test_a_key_may_have_any_letter() -> None:
    assert status({"api_key": "schlüssel"}, authorization="Bearer schlüssel") == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "", "studio.local"])
def test_an_open_address_needs_a_key(host: str) -> None:
    with pytest.raises(ConfigError, match=r"server\.api_key") as failure:
        Policy(ServerConfig(host=host))

    assert "\n" not in failure.value.message
    Policy(ServerConfig(host=host, api_key="k"))


def test_pages_of_the_whole_web_need_a_key() -> None:
    with pytest.raises(ConfigError, match=r"server\.cors_origins"):
        Policy(ServerConfig(cors_origins=["*"]))

    assert status({"cors_origins": ["*"], "api_key": "k"}, "POST", origin=FOREIGN, x_api_key="k") == 200


def test_on_an_open_address_the_machines_own_name_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "studio.example.net")
    config = {"host": "0.0.0.0", "api_key": "k"}
    names = ("studio", "studio.local", "studio.example.net", "other.example.net")

    assert [status(config, host=name, x_api_key="k") for name in names] == [200, 200, 200, 403]
    assert status({}, host="studio.local") == 403
