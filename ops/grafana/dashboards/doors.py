"""Doors and laboratories: what comes in, what is answered, who may send."""

from __future__ import annotations

from typing import Final

from ops.grafana.drawing import Board, Drawn, quantiles, rate

DOORS: Final = (
    Drawn(
        title="Messages in, by answer",
        queries=rate("answers", "code"),
        unit="ops",
        runbook="rejecting",
        advice="AA is durable. AE: one laboratory sends content that cannot be taken; tell it"
        " what the finding says. AR: nobody's message is taken or one laboratory is not"
        " known; see 'Limits reached' and 'Append' first. No line at all: see"
        " 'Connections', then whether ingest runs.",
    ),
    Drawn(
        title="Answer (ACK), from whole frame to bytes",
        queries=quantiles("ack_seconds"),
        unit="s",
        limit=1.0,
        runbook="slo-ack",
        advice="Laboratories wait this long for each message. High with 'Append' high: the log"
        " is slow. High with 'Append' low: ingest itself is short of processor; start a"
        " second ingest or take load away.",
    ),
    Drawn(
        title="Append, until durable",
        queries=quantiles("append_seconds"),
        unit="s",
        limit=0.5,
        runbook="append-slow",
        advice="One write to the intake log. High: look at the disk of the database or"
        " brokers, at the standby (every commit waits for it) and at under-replicated"
        " partitions.",
    ),
    Drawn(
        title="Connections",
        queries=(("sum by (instance) (labdispatch_connections)", "{{instance}}"),),
        unit="short",
        runbook="process-down",
        advice="Falls to nothing: network, firewall or ingest. Saw teeth: a peer that"
        " reconnects for each message, or that we close; see 'Connections closed by the"
        " hub'.",
    ),
    Drawn(
        title="Connections closed by the hub",
        queries=rate("connections_closed", "reason"),
        unit="ops",
        runbook="tls",
        advice="The reason names what the peer does: frames cut or too slow, answers left"
        " unread. One laboratory's link at fault shows in the log with its registry id.",
    ),
    Drawn(
        title="Limits reached",
        queries=rate("limit_hits", "limit"),
        unit="ops",
        runbook="door-closed",
        advice="A bound did its work. append_queue: the log is slower than what comes in (AR"
        " 207); see 'Append'. window: one peer sends faster than it is answered."
        " connections: raise the setting of that name in docs/settings.md only if the"
        " machine has room.",
    ),
    Drawn(
        title="Door closed",
        queries=(("max by (job, instance) (labdispatch_door_closed)", "{{job}} {{instance}}"),),
        unit="bool",
        limit=1,
        runbook="door-closed",
        advice="Closed: the disk is low and every message is answered AR 207. Free space; the"
        " door opens by itself.",
    ),
    Drawn(
        title="Findings at the door",
        queries=rate("findings", "code", "level"),
        unit="ops",
        runbook="unmapped-values",
        advice="Taken, but not as it should be. A jump in one code after a laboratory's"
        " release: call that laboratory; labdispatch trace shows one message with the"
        " place.",
    ),
)

FILES_AND_TOPICS: Final = (
    Drawn(
        title="Files by what became of them",
        queries=(
            ("sum by (what) (rate(labdispatch_files_total[$__rate_interval]))", "{{what}}"),
            ("sum(labdispatch_files_reading)", "being read now"),
        ),
        unit="short",
        runbook="files",
        advice="refused: a link, a special file, a wrong name or size; it lies in failed/ of"
        " the laboratory's folder. waits: the door is closed or dispatch is behind; the"
        " file keeps its place.",
    ),
    Drawn(
        title="Oldest file without its whole answer",
        queries=(("max(labdispatch_files_oldest_seconds)", "seconds"),),
        unit="s",
        limit=3600,
        runbook="files",
        advice="A large file takes its time: it should fall again. Growing: labdispatch"
        " batches list shows which one, the log of api why (batch_waits).",
    ),
    Drawn(
        title="Messages of files by answer",
        queries=rate("file_messages", "code"),
        unit="ops",
        runbook="inbound",
        advice="AR: another laboratory's facility, or a message that cannot be read. The"
        " answer file says which; labdispatch batches show ID too.",
    ),
    Drawn(
        title="Inbound: records that wait in their topic",
        queries=(("max by (topic) (labdispatch_inbound_lag_records)", "{{topic}}"),),
        unit="short",
        limit=1000,
        runbook="inbound",
        advice="Nothing is lost while the topic keeps them. Growing: the log of inbound says"
        " why (inbound_waits), or nobody reads.",
    ),
    Drawn(
        title="Inbound: records by what became of them",
        queries=rate("inbound_records", "what"),
        unit="ops",
        runbook="inbound",
        advice="parked: it did not come into the log, and a person has to look at it:"
        " labdispatch inbound list. No line with a lag: see the panel before this one.",
    ),
    Drawn(
        title="Inbound: parked, and by which reason",
        queries=(
            ("max(labdispatch_inbound_parked_records)", "wait for a person"),
            (
                "sum by (reason) (rate(labdispatch_inbound_parks_total[$__rate_interval]))",
                "{{reason}}",
            ),
        ),
        unit="short",
        limit=1,
        runbook="inbound",
        advice="no_proof, bad_signature: somebody writes who must not, or a key is wrong."
        " gone: the topic forgot before we read.",
    ),
)

REGISTER: Final = (
    Drawn(
        title="Laboratories by when their last certificate ends",
        queries=(("max by (ends) (labdispatch_certificate_laboratories)", "{{ends}}"),),
        unit="short",
        runbook="certificates",
        advice="expired: these laboratories cannot get in where a certificate is asked for."
        " under_7_days: ask them for the next one now; both hold until the old one is"
        " revoked.",
    ),
    Drawn(
        title="Age of the register, and of its copy on disk",
        queries=(
            ("max by (job, instance) (labdispatch_register_age_seconds)", "{{job}} {{instance}}"),
            (
                "max by (job, instance) (labdispatch_register_snapshot_age_seconds)",
                "on disk {{job}} {{instance}}",
            ),
        ),
        unit="s",
        limit=120,
        runbook="register-old",
        advice="A door reads the register every few seconds. Growing: it cannot reach the"
        " database and goes by what it knows. The copy on disk is confirmed every hour.",
    ),
)


_STANDING: Final = (
    'max by (standing) (labdispatch_laboratories_standing{standing=~"silent|short|doubtful"})'
)

LEADING: Final = (
    Drawn(
        title="Who sends most, last 24 hours",
        queries=(("labdispatch_laboratory_top_received", "{{laboratory}}"),),
        unit="short",
        runbook="laboratory-floods",
        advice="The same names from day to day. A new one at the top: an archive, a loop, or a"
        " merger of laboratories; *one laboratory* shows it.",
    ),
    Drawn(
        title="Who is refused, turned away or parked most",
        queries=(("labdispatch_laboratory_top_refused", "{{laboratory}}"),),
        unit="short",
        runbook="rejecting",
        advice="Its results do not arrive, and its software tells nobody. Call the first of"
        " the list; its ERR segments say what to change.",
    ),
    Drawn(
        title="Who is silent for longest",
        queries=(("labdispatch_laboratory_top_silent_seconds", "{{laboratory}}"),),
        unit="s",
        runbook="laboratory-silent",
        advice="Of live laboratories that have sent before, whatever is usual of them: the next"
        " panel says who is silent when it usually sends.",
    ),
    Drawn(
        title="Laboratories against their own past",
        queries=((_STANDING, "{{standing}}"),),
        unit="short",
        runbook="laboratory-silent",
        advice="labdispatch labs silent names them. Many at once are a network, a vendor or our"
        " own doors, not laboratories.",
    ),
)

BOARD: Final = Board(
    uid="labdispatch-doors",
    title="labdispatch: doors and laboratories",
    about="What laboratories send, what they are answered, and who may send.",
    rows=(
        ("Doors: what laboratories see", DOORS),
        ("Laboratories that lead a list", LEADING),
        ("Files and inbound topics", FILES_AND_TOPICS),
        ("The register: who may send", REGISTER),
    ),
)
