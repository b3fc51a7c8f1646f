#!/bin/bash
# Runs once, when the primary's volume is empty: the hub's role and database, and the standby.
set -euo pipefail

psql --username=postgres --dbname=postgres --set=ON_ERROR_STOP=1 \
    --set=hub="$HUB_DATABASE_PASSWORD" --set=replication="$HUB_REPLICATION_PASSWORD" <<'SQL'
CREATE ROLE labdispatch LOGIN PASSWORD :'hub';
-- Without it the hub is not shown how late a standby is, nor how old others' transactions are.
GRANT pg_monitor TO labdispatch;
CREATE DATABASE labdispatch OWNER labdispatch ENCODING 'UTF8' TEMPLATE template0;
CREATE ROLE replicator LOGIN REPLICATION PASSWORD :'replication';
-- Holds from the next start, which follows: during these steps there is no standby to wait for.
ALTER SYSTEM SET synchronous_standby_names = 'FIRST 1 (standby)';
SQL

# The image's own last line opens every database to the network, but not replication.
echo 'host replication replicator samenet scram-sha-256' >> "$PGDATA/pg_hba.conf"
