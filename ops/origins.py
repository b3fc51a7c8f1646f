"""Where a request comes from, also behind proxies that are trusted. Pure.

A proxy adds the address of its own peer to the end of `X-Forwarded-For` (RFC 7239, section 5.2,
says the same of `Forwarded`). What stands before that was sent by whoever wants to be believed: so
the header is read from its end, and only as far as the hops are proxies of ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from schemas.errors import FatalError

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address
FORWARDED_FOR: Final = "x-forwarded-for"
_MOST_HOPS: Final = 16
_MOST_CHARACTERS: Final = 2_048


class Origins:
    """Says where requests come from.

    Args:
        trusted: Networks of the operator's own proxies; of other peers no header is believed.
    """

    def __init__(self, trusted: Sequence[Network] = ()) -> None:
        self._trusted = tuple(trusted)

    def of(self, peer: str, forwarded: Sequence[str]) -> str:
        """Return the address to be audited: the last hop that is no proxy of ours.

        Args:
            peer: The address of the connection; empty where there is none.
            forwarded: The values of all headers `X-Forwarded-For`, in their order.

        Returns:
            The peer's, where it is no trusted proxy or no address follows from the header.
        """
        nearest = _address(peer)
        if nearest is None or not self._trusts(nearest):
            return peer
        text = ",".join(forwarded)[-_MOST_CHARACTERS:]
        for hop in reversed(text.split(",")[-_MOST_HOPS:]):
            address = _address(hop.strip())
            if address is None:
                break  # no address: what stands before it is not believed either
            nearest = address
            if not self._trusts(address):
                break
        return str(nearest)

    def _trusts(self, address: Address) -> bool:
        return any(address in network for network in self._trusted)


def networks_of(text: str) -> tuple[Network, ...]:
    """Return the networks of a list with commas.

    Raises:
        FatalError: `trusted_proxies_invalid`: one of them is none.
    """
    try:
        return tuple(ip_network(each.strip()) for each in text.split(",") if each.strip())
    except ValueError:
        raise FatalError(
            "trusted_proxies_invalid",
            "LABDISPATCH_TRUSTED_PROXIES: networks with commas, as 10.0.0.0/8,2001:db8::/32",
        ) from None


def _address(text: str) -> Address | None:
    """Return an address, with or without a port; None of anything else."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ip_address(text)
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return mapped or found
