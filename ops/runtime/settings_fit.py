"""Whether settings fit together, and which of them are dangerous: all that is wrong, at once.

Refused is what would break a promise without anybody noticing: patients' results in clear text on a
network, an acknowledgement that one lost disk takes back, an address that anybody may claim.
What an operator may choose with open eyes is told by `labdispatch settings check`, and not refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, urlsplit

from schemas.decision import Realm
from schemas.topics import STREAMS, intake_topic, topic_of

from .kafka_security import KafkaProtocol

if TYPE_CHECKING:
    from .settings import Settings

MAX_INBOUND_TOPICS: Final = 64
_DAY: Final = 86_400
_COPIES: Final = 2
"""An acknowledged record is on so many brokers at least: one may burn."""


def problems(settings: Settings) -> Iterator[str]:
    """Give everything that does not fit, each with what to set; never a value that is secret."""
    yield from _doors(settings)
    yield from _sizes(settings)
    yield from _database(settings)
    yield from _brokers(settings)
    yield from _inbound(settings)
    yield from _retention(settings)
    yield from _backup(settings)
    if settings.failpoints and settings.realm is Realm.PRODUCTION:
        yield "failpoints end processes on purpose: they belong to realm test"


def dangers(settings: Settings) -> Iterator[str]:
    """Give what is allowed and weakens a promise: an operator should know that it is so."""
    production = settings.realm is Realm.PRODUCTION
    cluster = settings.engine == "cluster"
    if cluster and not settings.require_standby:
        yield "require_standby=false: what was acknowledged is lost with the database's disk"
    if production and not cluster:
        yield "engine embedded in realm production: one disk, no standby; back it up"
    if cluster and settings.kafka_protocol is KafkaProtocol.PLAINTEXT and _is_far(settings):
        yield "kafka_protocol=plaintext: the streams go over the network in clear text"
    if not settings.disclosure_threshold:
        yield "disclosure_threshold=0: counts of one person are published"
    if not settings.min_free_disk_bytes:
        yield "min_free_disk_bytes=0: messages are taken until the disk is full"
    if settings.keys_copy_dir is None and production:
        yield "keys_copy_dir is not set: with the disk of the keys every payload is lost"
    if settings.log_level == "debug" and production:
        yield "log_level=debug fills disks"


def is_loopback(host: str) -> bool:
    """Say whether only this machine can reach an address."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _doors(settings: Settings) -> Iterator[str]:
    """Doors beyond loopback in clear text, half of their TLS files, proxies that are everybody."""
    if settings.realm is Realm.TEST and not (
        is_loopback(settings.mllp_host) and is_loopback(settings.http_host)
    ):
        yield "realm test listens on loopback only: set realm=production"
    for door, host in (("mllp", settings.mllp_host), ("http", settings.http_host)):
        cert, key, client_ca, crl = (
            getattr(settings, f"{door}_tls_{name}") for name in ("cert", "key", "client_ca", "crl")
        )
        if not is_loopback(host) and cert is None:
            yield (
                f"{door}_host is beyond loopback: set {door}_tls_cert and {door}_tls_key"
                " (docs/tls.md), or listen on 127.0.0.1"
            )
        if (cert is None) != (key is None):
            yield f"{door}_tls_cert and {door}_tls_key come together"
        if cert is None and (client_ca or crl):
            yield f"{door}_tls_client_ca and {door}_tls_crl need {door}_tls_cert"
        if crl is not None and client_ca is None:
            yield f"{door}_tls_crl needs {door}_tls_client_ca"
        if door == "mllp" and cert is not None and client_ca is None:
            yield "mllp_tls_cert needs mllp_tls_client_ca: MLLP proves each laboratory"
    for name in filter(None, map(str.strip, settings.trusted_proxies.split(","))):
        try:
            network = ip_network(name)
        except ValueError:
            yield "trusted_proxies takes networks with commas, as 10.0.0.0/8"
        else:
            if not network.prefixlen:
                yield "trusted_proxies names everybody: any reader could claim any address"


def _sizes(settings: Settings) -> Iterator[str]:
    if settings.log_margin_seconds >= settings.log_retention_seconds:
        yield "log_margin_seconds is to be less than log_retention_seconds"
    least = 2 * settings.dispatch_workers + 4
    if settings.pool_connections < least:
        yield (
            f"pool_connections is to be {least} or more for {settings.dispatch_workers}"
            " dispatch_workers: two each, and four for what runs beside them"
        )


def _database(settings: Settings) -> Iterator[str]:
    if settings.engine != "cluster":
        return
    if settings.postgres_dsn is None and settings.postgres_dsn_file is None:
        yield "engine cluster needs postgres_dsn, or postgres_dsn_file"
    if settings.postgres_dsn is None:
        return
    if settings.postgres_dsn_file is not None:
        yield "postgres_dsn and postgres_dsn_file say the same: set one"
    if is_in_the_clear(settings.postgres_dsn.get_secret_value()):
        yield "postgres_dsn: sslmode=disable beyond this machine sends results in clear text"


def is_in_the_clear(address: str) -> bool:
    """Say whether an address of a database asks for clear text over a network."""
    try:
        parts = urlsplit(address)
        wish = parse_qs(parts.query)
        hosts = [parts.hostname or "", *wish.get("host", [])]
    except ValueError:
        return False  # the client says what is wrong with it
    far = [host for host in hosts if host and not host.startswith("/") and not is_loopback(host)]
    return bool(far) and wish.get("sslmode") == ["disable"]


def _brokers(settings: Settings) -> Iterator[str]:
    """Half of what the brokers want, what would be ignored, and copies that are none."""
    if settings.kafka_protocol is KafkaProtocol.PLAINTEXT and (
        settings.kafka_ca or settings.kafka_cert or settings.kafka_key
    ):
        yield "kafka_ca, kafka_cert and kafka_key need kafka_protocol=ssl"
    if (settings.kafka_cert is None) != (settings.kafka_key is None):
        yield "kafka_cert and kafka_key come together"
    asks = settings.kafka_protocol is KafkaProtocol.SASL_SSL
    if asks != bool(settings.kafka_sasl_user) or asks != (
        settings.kafka_sasl_password_file is not None
    ):
        yield (
            "kafka_sasl_user and kafka_sasl_password_file belong to kafka_protocol=sasl_ssl:"
            " set all three or none"
        )
    if settings.engine != "cluster":
        return
    if settings.min_insync_replicas > settings.replication_factor:
        yield "min_insync_replicas is to be replication_factor at most: nothing could be written"
    if settings.realm is Realm.PRODUCTION and settings.min_insync_replicas < _COPIES:
        yield f"min_insync_replicas is to be {_COPIES} or more: one disk would hold what was ACKed"


def _inbound(settings: Settings) -> Iterator[str]:
    """Inbound topics that cannot be read, or that the hub itself writes."""
    names = settings.inbound_topic_names
    if names and settings.engine != "cluster":
        yield "inbound_topics needs engine cluster"
    if len(names) > MAX_INBOUND_TOPICS or any(len(name) > 249 for name in names):
        yield f"inbound_topics takes {MAX_INBOUND_TOPICS} names of 249 characters"
    ours = {intake_topic(settings.kafka_topic_prefix)}
    ours |= {topic_of(stream, settings.kafka_topic_prefix) for stream in STREAMS}
    if ours & {*names, settings.inbound_reply_topic}:
        yield "inbound topics are none of the hub's own: give them other names"
    if settings.inbound_reply_topic in names:
        yield "inbound_reply_topic is no inbound topic: answers would be read"


def _retention(settings: Settings) -> Iterator[str]:
    """Ages by which something would lose its key while it is needed."""
    cluster = settings.engine == "cluster"
    if cluster and settings.retention_intake_days * _DAY < settings.log_retention_seconds + _DAY:
        yield "retention_intake_days is to be a day more than log_retention_seconds"
    if cluster and settings.retention_names_days * _DAY < settings.topic_names_seconds:
        yield "topic_names_seconds is to be retention_names_days at most"
    if settings.batch_keep_days > settings.retention_intake_days:
        yield "batch_keep_days is to be retention_intake_days at most"
    if settings.retention_public_health_days > settings.indicators_rows_days:
        yield "retention_public_health_days is to be indicators_rows_days at most"
    if settings.retention_public_health_days < settings.retention_names_days:
        yield "retention_names_days is to be retention_public_health_days at most"
    folder = settings.keys_copy_dir
    if folder is not None and folder.resolve() == settings.keys_folder.resolve():
        yield "keys_copy_dir is to be another folder than that of the keys"


def _is_far(settings: Settings) -> bool:
    """Say whether a broker is beyond this machine."""
    hosts = [each.rpartition(":")[0].strip("[] ") for each in settings.kafka_bootstrap.split(",")]
    return not all(is_loopback(host) for host in hosts)


def _backup(settings: Settings) -> Iterator[str]:
    """Backups that would hold keys, or lie in what they save."""
    if settings.backup_dir is None:
        if settings.backup_synchronous:
            yield "backup_synchronous needs backup_dir"
        return
    if settings.engine != "embedded":
        yield "backup_dir is of engine embedded (cluster: docs/backup.md)"
    place = settings.backup_dir.resolve()
    for each in (settings.data_dir, settings.keys_folder, settings.keys_copy_dir):
        other = each and each.resolve()
        if other and (place == other or place in other.parents or other in place.parents):
            yield "backup_dir lies apart from data_dir, keys_dir and keys_copy_dir"
            return
