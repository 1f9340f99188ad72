"""By which names the server answers."""

import pytest

from heisenberg.core.errors import ConfigError
from heisenberg.server.hosts import Hosts, host_of, is_loopback


@pytest.mark.parametrize(
    "host",
    [
        "localhost", "LOCALHOST:1234", "localhost.", "127.0.0.1", "127.0.0.1:11434", "127.1.2.3", "[::1]", "[::1]:1234",
        "0.0.0.0:11434", "api.localhost", "studio.local", "Studio.Local:1234", "a.lan.example", "192.168.1.5:1234",
        "[::ffff:127.0.0.1]",
    ],
)  # fmt: skip
def test_a_name_of_ours_is_answered(host: str) -> None:
    hosts = Hosts(["studio.local", "*.lan.example"])

    assert hosts.allows(host, arrived_at="192.168.1.5")


@pytest.mark.parametrize(
    "host",
    [
        "", ":11434", "evil.example", "localhost.evil.example", "evillocalhost", "lan.example", "192.168.1.6",
        "127.0.0.1.evil.example", "2130706433", "127.1", "[::1", "::1", "localhost:x", "user@localhost", "localhost/",
        "local host", "localhost\x00", "localhost,evil", "[fe80::1]", "l\u00f6calhost", "localhost:123456",
    ],
)  # fmt: skip
def test_any_other_name_is_not(host: str) -> None:
    """Also what only resembles one, and what a resolver might understand as loopback."""
    hosts = Hosts(["studio.local", "*.lan.example"])

    assert not hosts.allows(host, arrived_at="192.168.1.5")


def test_an_address_counts_only_where_the_connection_arrived() -> None:
    assert not Hosts().allows("10.0.0.1", arrived_at="127.0.0.1")


def test_an_ipv4_client_of_an_ipv6_socket_is_known() -> None:
    assert Hosts().allows("192.168.1.5", arrived_at="::ffff:192.168.1.5")


@pytest.mark.parametrize("name", ["http://studio", "studio:1234", "", "a b", "*"])
def test_a_configured_name_that_is_none_is_told(name: str) -> None:
    with pytest.raises(ConfigError, match="server.allowed_hosts has"):
        Hosts([name])


def test_the_port_is_no_part_of_the_name() -> None:
    assert host_of("Example.com.:80") == "example.com"


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False), ("", False)],
)
def test_loopback_is_known(host: str, expected: bool) -> None:
    assert expected == is_loopback(host)
