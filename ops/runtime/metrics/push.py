"""Push receivers; their names are few and chosen by operators."""

from __future__ import annotations

from .declaring import FAST, counters, gauge, gauges, histogram, seconds
from .labels import PUSH_ENDINGS, PUSH_OUTCOMES, PUSH_STOPS, RECEIVERS


class PushMetrics:
    """Push receivers; their names are few and chosen by operators."""

    def __init__(self) -> None:
        super().__init__()
        self.push_deliveries = counters(
            "push_deliveries",
            "Answers of receivers by what they mean: accepted, transient, permanent",
            receiver=RECEIVERS,
            outcome=PUSH_OUTCOMES,
        )
        self.push_ended = counters(
            "push_ended",
            "Deliveries that ended, by ending: accepted, dead, superseded",
            receiver=RECEIVERS,
            ending=PUSH_ENDINGS,
        )
        self.push_seconds = histogram(
            "push_seconds", "From sending an event to its answer", buckets=FAST
        )
        self.readable_to_pushed_seconds = seconds(
            "readable_to_pushed_seconds",
            "From an event decided to its receiver's yes, of first versions at the first try",
        )
        self.push_in_flight = gauges(
            "push_in_flight_events", "Events under way", mode="livesum", receiver=RECEIVERS
        )
        self.push_waiting = gauges(
            "push_waiting_events",
            "Events that a receiver has not taken: taken from the outbox, and still in it",
            mode="livemostrecent",
            receiver=RECEIVERS,
        )
        self.push_oldest = gauges(
            "push_oldest_seconds",
            "For how long the oldest event taken from the outbox waits for its receiver",
            mode="livemostrecent",
            receiver=RECEIVERS,
        )
        self.push_failing = gauges(
            "push_failing_seconds",
            "For how long a receiver has given no good answer to anything",
            mode="livemostrecent",
            receiver=RECEIVERS,
        )
        self.push_dead = gauges(
            "push_dead_letters",
            "Dead letters that wait for a person",
            mode="livemostrecent",
            receiver=RECEIVERS,
        )
        self.push_state = gauges(
            "push_receiver_stopped",
            "1 where a receiver is not pushed to: paused, gap, trouble",
            mode="livemostrecent",
            receiver=RECEIVERS,
            why=PUSH_STOPS,
        )
        self.push_receivers = gauge(
            "push_receivers", "Receivers that this process leads", mode="livesum"
        )
