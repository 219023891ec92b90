"""Whose request it is, whatever the request says of itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from notifications.infra.http.client_address import client_address, network_of

PROXIES = ("10.0.0.0/8", "2001:db8::1")


@pytest.mark.parametrize(
    ("remote", "forwarded", "trusted", "client"),
    [
        ("192.0.2.1", "", PROXIES, "192.0.2.1"),
        ("192.0.2.1", "198.51.100.9", PROXIES, "192.0.2.1"),
        ("10.0.0.1", "198.51.100.9", (), "10.0.0.1"),
        ("10.0.0.1", "198.51.100.9", PROXIES, "198.51.100.9"),
        ("10.0.0.1", "1.1.1.1, 198.51.100.9", PROXIES, "198.51.100.9"),
        ("10.0.0.1", "1.1.1.1, 198.51.100.9, 10.2.0.1", PROXIES, "198.51.100.9"),
        ("2001:db8::1", "2001:db8:5::7", PROXIES, "2001:db8:5::7"),
        ("10.0.0.1", "10.3.0.1", PROXIES, "10.3.0.1"),
        ("10.0.0.1", "", PROXIES, "10.0.0.1"),
        ("10.0.0.1", "nonsense", PROXIES, "10.0.0.1"),
        ("10.0.0.1", "198.51.100.9, nonsense", PROXIES, "10.0.0.1"),
        ("10.0.0.1", ", ".join(["10.1.1.1"] * 5_000), PROXIES, "10.1.1.1"),
        ("::ffff:10.0.0.1", "198.51.100.9", PROXIES, "198.51.100.9"),
        ("::ffff:192.0.2.1", "198.51.100.9", PROXIES, "192.0.2.1"),
        ("::ffff:192.0.2.1", "198.51.100.9", (), "192.0.2.1"),
        ("10.0.0.1", "::ffff:198.51.100.9, ::ffff:10.0.0.2", PROXIES, "198.51.100.9"),
        ("10.0.0.1", "198.51.100.9:4711", PROXIES, "198.51.100.9"),
        ("10.0.0.1", "[2001:db8:5::7]:4711, 10.0.0.2:80", PROXIES, "2001:db8:5::7"),
        ("10.0.0.1", "[2001:db8:5::7]", PROXIES, "2001:db8:5::7"),
        ("", "198.51.100.9", PROXIES, ""),
        ("", "198.51.100.9", ("127.0.0.1",), "198.51.100.9"),
        ("", "1.1.1.1, 198.51.100.9", ("127.0.0.0/8",), "198.51.100.9"),
        ("", "nonsense", ("127.0.0.1",), ""),
        ("", "", ("127.0.0.1",), ""),
        ("", "198.51.100.9", (), ""),
    ],
)
def test_the_client_is_the_last_that_no_trusted_proxy_has(
    remote: str, forwarded: str, trusted: tuple[str, ...], client: str
) -> None:
    assert client_address(remote, forwarded, trusted) == client


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:5:6:7::8", "2001:db8:5:6::/64"),
        ("2001:db8:5:6::1", "2001:db8:5:6::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("no:address", "no:address"),
    ],
)
def test_who_has_a_network_is_one_client(address: str, network: str) -> None:
    assert network_of(address) == network


def test_code_that_reads_the_address_of_a_connection_considers_proxies() -> None:
    source = Path(__file__).parents[3] / "src"
    # The bridge writes it. The outbox asks whether the connection itself is this machine's.
    direct = {source / "carillon/serving/bridge.py", source / "notifications/web/outbox.py"}
    files = set(source.rglob("*.py")) - direct
    readers = [path for path in files if "REMOTE_ADDR" in path.read_text()]

    assert readers
    for path in readers:
        assert "client_address(" in path.read_text(), path.relative_to(source)
