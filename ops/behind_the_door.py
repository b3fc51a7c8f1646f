"""What comes behind the doors, put together: dispatch, the stewards, the relays.

Apart from ops/bootstrap.py, because a door loads nothing of this: there is one for each core.
"""

from __future__ import annotations

from collections.abc import Container
from functools import partial

from dedup.case_store import CaseStore
from dedup.episodes import Window
from dedup.key_function import KeyFunction
from dedup.model import Model
from dedup.persons import Bounds
from dedup.queue import ReviewBudget
from dedup.resolver import Resolver
from dedup.store import DedupStore
from ingest.labs import PostgresLabStore
from ops.bootstrap import Hub, kafka_settings, reader_of
from ops.casework import Casework
from ops.dispatch import Dispatcher, DispatchSecrets
from ops.prepare import Preparer
from ops.publishing import Publisher
from ops.register.tally import Tally
from ops.ruling.in_effect import RulesInEffect
from ops.ruling.past import Past
from ops.runtime.kafka_publishing import TransactionalPublisher
from ops.runtime.settings import Settings
from ops.runtime.worker import Worker, WorkerSettings
from ops.sources import Sources
from ops.stewards.acts import Stewards
from ops.stewards.reemitting import Reemitter
from ops.stewards.replacing import Replacer
from ops.stewards.script import Script
from ops.verifying.page import Parts
from ops.verifying.scratch import Scratch
from ops.verifying.verifier import Verifier
from ops.weighing import Weighing
from routing.positions import Positions
from routing.pseudonym import Pseudonyms, addressee_of
from routing.relay import Relay
from routing.router import Router
from routing.rules import Rules
from schemas.days import Reading
from schemas.topics import STREAMS, Stream, topic_of


def bounds_of(settings: Settings) -> Bounds:
    """Return how much is looked at to find a person."""
    return Bounds(
        key_persons=settings.identity_key_persons,
        aliases=settings.identity_aliases,
        narrowed_persons=settings.identity_narrowed_persons,
        hot_keys=settings.identity_hot_keys,
    )


def budget_of(settings: Settings) -> ReviewBudget:
    """Return how many review items a process may open."""
    return ReviewBudget(settings.review_share, settings.review_burst)


def dispatcher_of(
    hub: Hub,
    budget: ReviewBudget | None = None,
    *,
    tried: Rules | None = None,
    model: Model | None = None,
) -> Dispatcher:
    """Return what handles one batch at a time.

    Args:
        hub: The instance.
        budget: Of the process, where it has several.
        tried: Rules instead of those in effect; for what is only rehearsed.
        model: A model instead of the service's; for what is only rehearsed.
    """
    vault = hub.vault
    settings = hub.settings
    keys = KeyFunction(hub.realm, vault.secret("person"))
    store = DedupStore(vault, bounds_of(settings), budget or budget_of(settings))
    preparer = Preparer(vault, keys)
    labs = PostgresLabStore(hub.pool)
    cases = CaseStore(settings.dispatch_case_reports)
    secret = vault.secret("report")
    sources = Sources(preparer, labs, report_secret=secret, from_copy=hub.is_cluster)
    instance = hub.instance
    window = Window(days=instance.window_days, reading=Reading(instance.window_reading))
    rules = RulesInEffect(lambda rules: router_of(hub, rules), tried)
    publisher = Publisher(
        rules=rules,
        vault=vault,
        body_secret=vault.secret("body"),
        realm=hub.realm,
        cases=cases,
        partitions=hub.instance.partitions,
    )
    casework = Casework(
        cases, store, sources, Weighing(rules, publisher), secret=secret, window=window
    )
    return Dispatcher(
        pool=hub.pool,
        log=hub.log,
        preparer=preparer,
        store=store,
        resolver=Resolver(store, keys, model),
        publisher=publisher,
        casework=casework,
        clock=hub.clock,
        secrets=DispatchSecrets(report=secret),
        max_keys=hub.settings.dispatch_batch_keys,
        keep_raw=hub.is_cluster,
        labs=labs,
        tally=Tally(vault, vault.secret("unmapped")),
        stewards=stewards_of(hub, store, sources, publisher, casework),
    )


def router_of(hub: Hub, rules: Rules) -> Router:
    """Return what routes by a set of rules."""
    return Router(rules, hub.vault.secret("pseudonym"), hub.realm, hub.vault)


def past_of(hub: Hub, dispatcher: Dispatcher) -> Past:
    """Return what reads past reports as rules are given them, on the parts of dispatch."""
    stewards = dispatcher.stewards
    page = hub.settings.steward_page
    return Past(stewards.store, stewards.sources, dispatcher.publisher, page=page)


def stewards_of(
    hub: Hub, store: DedupStore, sources: Sources, publisher: Publisher, casework: Casework
) -> Stewards:
    """Return what changes identities, on the same parts as dispatch."""
    settings = hub.settings
    reemitter = Reemitter(
        store,
        sources,
        publisher,
        casework,
        replacer_of(hub),
        addressee=partial(addressee_of, hub.vault.secret("pseudonym")),
        page=settings.steward_page,
        most=settings.steward_reports,
    )
    script = Script(
        pool=hub.pool,
        store=store,
        reemitter=reemitter,
        publisher=publisher,
        clock=hub.clock,
        most_persons=settings.steward_persons,
    )
    return Stewards(
        script,
        sources,
        four_eyes=settings.review_four_eyes,
        most=settings.steward_reports,
        most_due=settings.reemission_persons,
    )


def replacer_of(hub: Hub) -> Replacer:
    """Return what tells public health which pseudonym stands for which."""
    secret = hub.vault.secret("pseudonym")
    return Replacer(
        Pseudonyms(secret, hub.vault),
        secret=secret,
        body_secret=hub.vault.secret("body"),
        realm=hub.realm,
        partitions=hub.instance.partitions,
    )


def verifier_of(hub: Hub, dispatcher: Dispatcher) -> Verifier:
    """Return what holds the streams against what they should hold, on the parts of dispatch."""
    stewards, settings = dispatcher.stewards, hub.settings
    scratch = Scratch(
        stewards.store,
        CaseStore(settings.dispatch_case_reports),
        dispatcher.casework,
        stewards.sources,
        most=settings.dispatch_case_reports,
    )
    return Verifier(
        hub.pool,
        Parts(
            scratch=scratch,
            publisher=dispatcher.publisher,
            weighing=dispatcher.casework.weighing,
            replacer=replacer_of(hub),
            vault=hub.vault,
            page=settings.steward_page,
        ),
    )


def worker_of(hub: Hub, dispatcher: Dispatcher | None = None) -> Worker:
    """Return a dispatch worker, with a batch in hand at a time."""
    settings = hub.settings
    return Worker(
        hub.pool,
        hub.log,
        dispatcher or dispatcher_of(hub),
        partitions=hub.instance.partitions,
        settings=WorkerSettings(
            linger_seconds=settings.dispatch_linger_seconds,
            batch_messages=settings.dispatch_batch_messages,
        ),
    )


def relays_of(hub: Hub, paused: Container[Stream] = ()) -> list[Relay]:
    """Return one relay a stream; none on the embedded engine.

    Args:
        hub: The instance.
        paused: Which streams wait, at any moment.
    """
    if not hub.is_cluster:
        return []
    return [_relay(hub, stream, paused) for stream in STREAMS]


def _relay(hub: Hub, stream: Stream, paused: Container[Stream]) -> Relay:
    settings = hub.settings
    prefix = settings.kafka_topic_prefix
    publisher = TransactionalPublisher(
        kafka_settings(settings, f"relay-{stream.value}"),
        f"{prefix}relay-{stream.value}",
        compression=settings.relay_compression,
    )
    return Relay(
        reader_of(hub),
        Positions(hub.pool),
        publisher,
        stream=stream,
        topic=topic_of(stream, prefix),
        partitions=hub.instance.partitions,
        max_events=settings.relay_batch_events,
        max_bytes=settings.relay_batch_bytes,
        poll_seconds=settings.relay_poll_seconds,
        note_seconds=settings.relay_note_seconds,
        is_paused=lambda: stream in paused,
    )
