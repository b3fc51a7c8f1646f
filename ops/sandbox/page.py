"""The sandbox's pages for people: plain HTML without scripts. Pure. Every text is escaped."""

from __future__ import annotations

from html import escape
from typing import Final

from ingest.catalogue import RULES, english, french
from ops.checking.entries import Entry, Note
from ops.checking.wording import LEVELS

from .sessions import KEPT, Exchange, Session

STYLE: Final = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem;
  color: #1b1b1b; background: #fff; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .3rem; }
pre { background: #f4f4f4; padding: .5rem; overflow-x: auto; font-size: .85rem; margin: .3rem 0; }
code { background: #f4f4f4; padding: 0 .2rem; }
.note { border-left: .25rem solid #888; padding-left: .8rem; margin: .8rem 0; }
.error { border-color: #b00020; } .warning { border-color: #a05a00; }
.info { border-color: #05668d; }
.AA { color: #12632d; } .AE, .AR, .none { color: #b00020; }
.quiet { color: #555; font-size: .9rem; }
"""

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none';"
        " frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""Sent with every answer: no script runs here, nothing is kept by a browser, no code leaks."""

_WORDS: Final = {
    "en": {
        "title": "labdispatch sandbox",
        "intro": "Messages sent here are checked and answered as by a hub in realm test, and go"
        " nowhere. Send no real patient's message.",
        "open": "Open a session",
        "how": "Put the session's code into MSH-6 (receiving facility) or MSH-8 and send to",
        "kept": "Kept in memory only: places, shapes and findings, never a value of a message, at"
        f" most {int(KEPT.total_seconds() // 3600)} hours. A restart forgets.",
        "nothing": "No message yet. This page renews itself.",
        "code": "Code of this session",
        "right": "right",
        "why": "why",
        "no_findings": "No finding.",
        "no_answer": "no answer",
        "answer": "Answer",
        "parked": "kept, but parked: no report could be made of it",
        "second": "Second opinion (hl7apy)",
        "other": "Français",
    },
    "fr": {
        "title": "Bac à sable labdispatch",
        "intro": "Les messages envoyés ici sont contrôlés et acquittés comme par une plateforme en"
        " domaine de test, et ne vont nulle part. N'envoyez aucun message d'un vrai patient.",
        "open": "Ouvrir une session",
        "how": "Placez le code de la session en MSH-6 (établissement destinataire) ou MSH-8 et"
        " envoyez à",
        "kept": "Conservé en mémoire seulement : emplacements, formes et constats, jamais une"
        f" valeur d'un message, au plus {int(KEPT.total_seconds() // 3600)} heures. Un redémarrage"
        " efface tout.",
        "nothing": "Aucun message pour l'instant. Cette page se renouvelle.",
        "code": "Code de cette session",
        "right": "correct",
        "why": "pourquoi (en anglais)",
        "no_findings": "Aucun constat.",
        "no_answer": "sans réponse",
        "answer": "Réponse",
        "parked": "conservé, mais mis de côté : aucun compte rendu n'a pu en être tiré",
        "second": "Second avis (hl7apy)",
        "other": "English",
    },
}


def start_page(language: str, mllp: str) -> str:
    """Return the page at which a session is opened."""
    words = _WORDS[language]
    body = (
        f"<p>{escape(words['intro'])}</p>"
        f'<form method="post" action="/sandbox?lang={language}">'
        f"<button>{escape(words['open'])}</button></form>"
        f"<p>{escape(words['how'])} <code>{escape(mllp)}</code>.</p>"
        f'<p class="quiet">{escape(words["kept"])}</p>'
    )
    return _page(language, words["title"], body, "/sandbox", refreshes=False)


def session_page(language: str, mllp: str, session: Session, exchanges: list[Exchange]) -> str:
    """Return the page of a session: its last messages, newest first."""
    words = _WORDS[language]
    shown = "".join(_exchange(exchange, language) for exchange in exchanges)
    body = (
        f"<p>{escape(words['code'])}: <code>{escape(session.code)}</code><br>"
        f"{escape(words['how'])} <code>{escape(mllp)}</code>.</p>"
        f'<p class="quiet">{escape(words["intro"])} {escape(words["kept"])}</p>'
        + (shown or f"<p>{escape(words['nothing'])}</p>")
    )
    return _page(language, words["title"], body, f"/sandbox/{session.code}", refreshes=True)


def _page(language: str, title: str, body: str, path: str, *, refreshes: bool) -> str:
    other = "fr" if language == "en" else "en"
    refresh = '<meta http-equiv="refresh" content="10">' if refreshes else ""
    return (
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">{refresh}'
        f'<title>{escape(title)}</title><link rel="stylesheet" href="/sandbox.css"></head><body>'
        f"<h1>{escape(title)}</h1>{body}"
        f'<p><a href="{escape(path)}?lang={other}">{_WORDS[language]["other"]}</a></p>'
        "</body></html>\n"
    )


def _exchange(exchange: Exchange, language: str) -> str:
    words = _WORDS[language]
    entry = exchange.entries[language]
    notes = "".join(_note(note, language) for note in entry.findings)
    answer = f"<pre>{escape(exchange.answer)}</pre>" if exchange.answer else ""
    return (
        f"<section>{_head(exchange, entry, words)}"
        f"{notes or '<p>' + escape(words['no_findings']) + '</p>'}"
        f"<details><summary>{escape(words['answer'])}</summary>{answer}</details>"
        f"{_second(exchange, language)}</section>"
    )


def second_notes(exchange: Exchange, language: str) -> list[tuple[str, str, str]]:
    """Return code, place and text of each finding of the second opinion."""
    told = french if language == "fr" else english
    return [
        (each.code, str(each.place), told(RULES[each.code])) for each in exchange.opinion.findings
    ]


def _second(exchange: Exchange, language: str) -> str:
    notes = "".join(
        f"<li>{escape(code)}, {escape(place)}: {escape(remedy)}</li>"
        for code, place, remedy in second_notes(exchange, language)
    )
    return (
        f"<details><summary>{escape(_WORDS[language]['second'])}:"
        f" {escape(exchange.opinion.state)}, {len(exchange.opinion.findings)}</summary>"
        f"<ul>{notes}</ul></details>"
    )


def _head(exchange: Exchange, entry: Entry, words: dict[str, str]) -> str:
    verdict = entry.verdict or words["no_answer"]
    parked = f" <em>({escape(words['parked'])})</em>" if entry.outcome == "parked" else ""
    return (
        f'<h2><span class="{entry.verdict or "none"}">{escape(verdict)}</span>'
        f" {escape(entry.control_id or '-')}{parked}</h2>"
        f'<p class="quiet">{exchange.number}. {exchange.received_at:%Y-%m-%d %H:%M:%S} UTC,'
        f" {escape(entry.message_type or '-')} {escape(entry.version)}</p>"
    )


def _note(note: Note, language: str) -> str:
    words = _WORDS[language]
    excerpt = ""
    if note.excerpt:
        marks = " " * note.caret + "^" * note.caret_length
        excerpt = f"<pre>{escape(note.excerpt)}\n{marks}</pre>"
    right = f"<p>{words['right']}:</p><pre>{escape(note.corrected)}</pre>" if note.corrected else ""
    why = f'<p class="quiet">{words["why"]}: {escape(note.why)}</p>' if note.why else ""
    shape = f", {escape(note.shape)}" if note.shape else ""
    return (
        f'<div class="note {note.level}"><strong>{LEVELS[language][note.level]}</strong>'
        f' <a href="{escape(note.help)}">{escape(note.code)}</a>: {escape(note.remedy)}'
        f"<br>{escape(note.place)}{shape}{excerpt}{right}{why}</div>"
    )
