"""A process that owns an embedded PostgreSQL, for tests that kill or compete with it.

    python -m tests.support.embedded_owner DATA_DIR STATE_DIR [UID [SITE]]

Starts the server, prints one line of JSON, and stops it when its standard input ends. With a uid
it first becomes that user: everything is imported before, because that user may not be able to
read this interpreter's libraries. SITE stands in for the site folder, for the same reason.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from ops.runtime.embedded import EmbeddedPostgres, binaries
from schemas.errors import FatalError


def main() -> None:
    data_dir, state_dir, *user = sys.argv[1:]
    if len(user) == 2:
        site = Path(user[1])
        binaries.wheel_folder = lambda: site
    version = binaries.major_version()
    binaries.major_version = lambda: version
    if user:
        uid = int(user[0])
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    server = EmbeddedPostgres(Path(data_dir), state_dir=Path(state_dir), shared_buffers_mb=64)
    began = time.monotonic()
    try:
        server.start()
    except FatalError as problem:
        print(json.dumps({"reason": problem.reason, "remedy": problem.remedy}), flush=True)
        sys.exit(1)
    seconds = time.monotonic() - began
    print(json.dumps({"pid": server.pid, "seconds": seconds, "owner": os.getpid()}), flush=True)
    sys.stdin.read()
    server.stop()


if __name__ == "__main__":
    main()
