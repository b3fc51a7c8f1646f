"""The audited address: the last hop that is no proxy of ours, and nothing that a peer makes up."""

from __future__ import annotations

import pytest

from ops.origins import Origins, networks_of
from schemas.errors import FatalError

TRUSTED = Origins(networks_of("10.0.0.0/8, 2001:db8::/32, 127.0.0.1/32"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "found"),
    [
        ("192.0.2.7", [], "192.0.2.7"),
        ("192.0.2.7", ["198.51.100.1"], "192.0.2.7"),
        ("10.1.1.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.1.1.1", ["203.0.113.9, 198.51.100.1"], "198.51.100.1"),
        ("10.1.1.1", ["203.0.113.9, 198.51.100.1, 10.9.9.9"], "198.51.100.1"),
        ("10.1.1.1", ["203.0.113.9", "198.51.100.1", "10.9.9.9"], "198.51.100.1"),
        ("10.1.1.1", ["127.0.0.1, 198.51.100.1"], "198.51.100.1"),
        ("10.1.1.1", [], "10.1.1.1"),
        ("10.1.1.1", ["10.2.2.2, 10.3.3.3"], "10.2.2.2"),
        ("10.1.1.1", ["unknown"], "10.1.1.1"),
        ("10.1.1.1", ["198.51.100.1, <script>, 10.3.3.3"], "10.3.3.3"),
        ("10.1.1.1", ["198.51.100.1:443"], "198.51.100.1"),
        ("2001:db8::1", ["[2001:db9::5]:8080"], "2001:db9::5"),
        ("::ffff:10.1.1.1", ["198.51.100.1"], "198.51.100.1"),
        ("", ["198.51.100.1"], ""),
        ("testclient", ["198.51.100.1"], "testclient"),
        ("10.1.1.1", [",".join(["10.2.2.2"] * 5_000)], "10.2.2.2"),
    ],
)
def test_the_last_hop_that_is_none_of_ours(peer: str, forwarded: list[str], found: str) -> None:
    assert TRUSTED.of(peer, forwarded) == found


def test_without_trusted_proxies_no_header_is_believed() -> None:
    assert Origins(networks_of("")).of("10.1.1.1", ["198.51.100.1"]) == "10.1.1.1"


def test_a_network_that_is_none_stops_the_start() -> None:
    for text in ("10.0.0.1/8", "proxy", "10.0.0.0/33"):
        with pytest.raises(FatalError, match="trusted_proxies_invalid"):
            networks_of(text)
