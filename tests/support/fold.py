"""What every stream holds equals a computation from scratch: asked at the end of a test."""

from __future__ import annotations

from ops.behind_the_door import verifier_of
from ops.verifying.differences import Verified
from tests.support.hub import Road


async def verified(road: Road) -> Verified:
    """Verify a hub on a scratch database; what differs is named in the failure."""
    found = await verifier_of(road.hub, road.dispatcher).verify()
    assert found.agrees, told(found)
    assert not found.pending, "somebody is still to be emitted again"
    return found


def told(found: Verified) -> str:
    """What differs, for whoever reads a failed test."""
    lines = [f"{what}: {n}" for what, n in sorted(found.differ.items())]
    lines += [f"  {each.report_id} {each.stream} {each.what}" for each in found.listed[:20]]
    return "\n".join(lines)
