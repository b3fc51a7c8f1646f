"""Figures of public health: how they are counted, protected, published, answered."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, Field

from .settings_kinds import Seconds


class IndicatorsSettings(BaseModel):
    """Figures of public health: how they are counted, protected, published, answered."""

    # -- indicators
    population_file: Path | None = Field(
        None,
        description="Inhabitants by department, age class and sex (docs/disclosure.md); without it"
        " the structure of ages is synthetic, and every rate says so.",
    )
    disclosure_threshold: int = Field(
        5, ge=0, le=1_000, description="Counts from 1 to this less 1 are withheld; 0: none is."
    )
    disclosure_settle_days: int = Field(
        2,
        ge=0,
        le=60,
        description="Days younger than this wait; without revisions the total of France does not.",
    )
    disclosure_daily_from: int = Field(
        10,
        ge=0,
        le=100_000,
        description="Areas that had fewer in the week before are told by weeks, not by days.",
    )
    disclosure_class_below: int = Field(
        0,
        ge=0,
        le=100_000_000,
        description="Areas with fewer inhabitants get classes of rates, no counts; 0: none.",
    )
    disclosure_rounding: int = Field(
        1, ge=1, le=1_000, description="Counts are rounded to multiples of this; 1: exact."
    )
    disclosure_revision_days: str | None = Field(
        None,
        pattern=r"^(\d{1,3}(,\d{1,3}){0,5})?$",
        description="Ages, after its last day, at which a week or month is told anew; between them"
        " its figures stay. Empty: with every extraction, and what came is not protected. Default:"
        " `8,22`; in realm test, where nobody is real, empty.",
    )
    indicators_batch_events: int = Field(
        50_000,
        ge=1,
        le=200_000,
        description="The most events that are counted in one transaction.",
    )
    indicators_poll_seconds: Seconds = Field(
        1.0,
        description="How long indicators wait for more events when all are counted; up to four"
        " times as long where more than 250 were.",
    )
    indicators_extraction_seconds: int = Field(
        21_600,
        ge=60,
        le=7 * 86_400,
        description="How often what is counted is published; rarer ones tell less of one result.",
    )
    indicators_extractions: int = Field(
        3_650,
        ge=2,
        le=100_000,
        description="How many extractions can be asked for again; eldest ones go.",
    )
    indicators_portion_seconds: int = Field(
        20,
        ge=1,
        le=600,
        description="For how long at once old weeks are published anew, before some is counted.",
    )
    indicators_delay_weeks: int = Field(
        200,
        ge=1,
        le=10_000,
        description="Of how many weeks and conditions an extraction tells delays; others follow.",
    )
    indicators_lag_events: int = Field(
        10_000,
        ge=0,
        description="With more events to be counted than these an extraction is made four times"
        " more rarely, and none while the stream is counted from zero.",
    )
    indicators_behind_times: int = Field(
        4,
        ge=1,
        le=100,
        description="So many times more rarely is published while that many events wait.",
    )
    indicators_close_rows: int = Field(
        10_000,
        ge=1,
        le=1_000_000,
        description="The most rows of closed days that go in one transaction: counting waits.",
    )
    indicators_verify_rows: int = Field(
        20_000,
        ge=1,
        le=1_000_000,
        description="The most rows that `labdispatch indicators verify` counts at once.",
    )
    indicators_rows_days: int = Field(
        800,
        ge=90,
        le=36_600,
        description="For how many days indicators keep the row of each result: days that are older"
        " change no more. Not shorter than the stream public-health is kept.",
    )
    indicators_answer_figures: int = Field(
        10_000, ge=100, le=200_000, description="The most figures of one answer; more go in pages."
    )
    indicators_answer_unpacked: int = Field(
        200_000,
        ge=4_000,
        le=2_000_000,
        description="The most figures that are unpacked for one answer (a day of all departments:"
        " 3,597, 15 ms of a processor); more go in pages.",
    )
    indicators_answers_at_once: int = Field(
        2,
        ge=1,
        le=4,
        description="Connections that answers about indicators have at an api process, and how many"
        " unpack at the same time; others wait.",
    )

    indicators_answers_each: int = Field(
        4,
        ge=1,
        le=100,
        description="Answers that may be under way for each that unpacks; others wait.",
    )
    indicators_answer_wait_seconds: Seconds = Field(
        10.0, description="How long an answer waits for its turn before 503 is said."
    )
