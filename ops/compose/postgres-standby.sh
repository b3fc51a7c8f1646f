#!/bin/bash
# Runs at every start of the standby: copies the primary while there is no copy, then follows it.
set -euo pipefail

if [ ! -s "$PGDATA/PG_VERSION" ]; then
    # Copied beside, put in place by one rename: a copy that was cut short never looks like one.
    fresh="$PGDATA.fresh"
    rm -rf "$fresh" "$PGDATA"
    install --directory --owner=postgres --group=postgres --mode=0700 "$(dirname "$PGDATA")"
    PGPASSWORD="$HUB_REPLICATION_PASSWORD" gosu postgres pg_basebackup \
        --dbname='host=postgres user=replicator' --pgdata="$fresh" \
        --write-recovery-conf --wal-method=stream --checkpoint=fast
    mv "$fresh" "$PGDATA"
fi

# The name that synchronous_standby_names of the primary waits for.
exec docker-entrypoint.sh postgres -c cluster_name=standby -c hot_standby=on -c max_connections=200
