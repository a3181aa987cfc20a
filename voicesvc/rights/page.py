"""A grant as a page that people read and print: no script, nothing fetched."""

from html import escape
from typing import Any

from voicesvc.rights.grant import Grant

STYLE = (
    "body{font:11pt/1.5 Georgia,serif;max-width:42em;margin:2em auto;padding:0 1em;color:#111}"
    "h1{font-size:1.5em}h2{font-size:1.1em;margin:1.5em 0 .3em}"
    "table{border-collapse:collapse;width:100%}"
    "th,td{text-align:left;vertical-align:top;padding:.2em .8em .2em 0;"
    "border-bottom:1px solid #ccc}th{font-weight:normal;color:#555;width:11em}"
    "td{overflow-wrap:anywhere}.state{font-weight:bold}@page{margin:2cm}"
    ".items{font-size:8pt}.items th{width:auto}thead{display:table-header-group}"
    "tr{break-inside:avoid}"
)
_PARTS = (
    *("grantor", "subject", "voice", "licensee", "production", "use", "term", "approvals"),
    *("compensation", "limits", "reporting"),
)


def document(title: str, body: str) -> str:
    """A whole page."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>{body}</body></html>"
    )


def rows(values: dict[str, Any]) -> str:
    """A table of names and values; what is empty is not there."""
    cells = (
        f"<tr><th>{escape(name.replace('_', ' '))}</th><td>{_shown(value)}</td></tr>"
        for name, value in values.items()
        if value not in (None, "", (), [], {})
    )
    return f"<table>{''.join(cells)}</table>"


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return "<br>".join(f"{escape(str(n))}: {_shown(v)}" for n, v in value.items())
    if isinstance(value, list | tuple):
        return "<br>".join(_shown(v) for v in value)
    return escape(str(value))


def page(grant: Grant, state: str, sha256: str, signed_by: frozenset[str]) -> str:
    """The page of a grant; `signed_by` are the kids whose signatures hold."""
    said = grant.model_dump(mode="json")
    parts = [
        f"<h1>Grant {escape(grant.id)}, version {grant.version}</h1>",
        f'<p class="state">{escape(state)}</p>',
        "<p>Demonstration: no distribution.</p>" if grant.demonstration else "",
        f"<p>{escape(grant.use.description)}</p>",
    ]
    for name in _PARTS:
        if said[name]:
            kept = {n: v for n, v in said[name].items() if n != "description"}
            parts.append(f"<h2>{name.capitalize()}</h2>{rows(kept)}")
    where = "the world" if not grant.territory else ", ".join(grant.territory)
    parts.append(f"<h2>Territory</h2><p>{escape(where)}</p>")
    signers = {
        f"{s.name} ({s.role})": f"{'signed' if s.kid in signed_by else 'not signed'}, key {s.kid}"
        for s in grant.signers
    }
    parts.append(f"<h2>Signatures: {grant.threshold} needed</h2>{rows(signers)}")
    if said["spoken_disclosure"]:
        parts.append(f"<h2>Said before what leaves</h2>{rows(said['spoken_disclosure'])}")
    for name in ("disclosure", "notes"):
        if said[name]:
            parts.append(f"<h2>{name.capitalize()}</h2><p>{escape(said[name])}</p>")
    parts.append(f"<h2>Document</h2>{rows({'sha256': sha256, 'supersedes': grant.supersedes})}")
    return document(f"Grant {grant.id}", "".join(parts))
