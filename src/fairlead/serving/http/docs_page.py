"""The page at /docs: the OpenAPI document, for people.

Belongs here: HTML. Does not: what is documented (openapi.py).

The page loads nothing from anywhere and runs no script: it reads the same on a machine without a
network, and no one else's code sees what is served here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from fairlead.serving.http.response import Headers

HEADERS: Headers = (
    (b"content-type", b"text/html; charset=utf-8"),
    (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'"),
    (b"x-content-type-options", b"nosniff"),
)

_METHODS = ("get", "post")
_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 50rem; margin: 2rem auto; padding: 0 1rem;
  color: #1b1f24; background: #fff }
code, pre { font: 14px/1.5 ui-monospace, monospace }
pre { background: #f3f4f6; padding: .75rem; overflow-x: auto; border-radius: 4px }
summary { cursor: pointer; padding: .25rem 0 }
.method { display: inline-block; min-width: 3.5rem; font-weight: 600 }
dt { font-weight: 600 } dd { margin: 0 0 .5rem 1rem }
@media (prefers-color-scheme: dark) { body { color: #e6e8eb; background: #15181c }
  pre { background: #22262c } a { color: #7ab7ff } }
"""


def page(document: Mapping[str, Any]) -> bytes:
    """The page.

    Args:
        document: In OpenAPI's form.
    """
    info = document["info"]
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8>",
        "<meta name=viewport content='width=device-width'>",
        f"<title>{escape(info['title'])}</title><style>{_STYLE}</style>",
        f"<h1>{escape(info['title'])}</h1><p>{escape(info.get('description', ''))}</p>",
        "<p>For programs: <a href=/openapi.json>openapi.json</a></p>",
        *_operations(document),
        "</html>",
    ]
    return "\n".join(parts).encode()


def _operations(document: Mapping[str, Any]) -> Iterator[str]:
    for path, item in document["paths"].items():
        for method in _METHODS:
            if method in item:
                yield from _operation(method, path, item[method], document["components"])


def _operation(
    method: str, path: str, operation: Mapping[str, Any], components: Mapping[str, Any]
) -> Iterator[str]:
    yield f"<details><summary><span class=method>{method.upper()}</span>"
    yield f"<code>{escape(path)}</code>"
    yield f" {escape(operation.get('summary', ''))}</summary>"
    yield f"<p>{escape(operation.get('description', ''))}</p>"
    yield from _examples(operation.get("requestBody", {}).get("content", {}))
    yield "<dl>"
    for status, written in operation.get("responses", {}).items():
        response = _resolved(written, components["responses"])
        yield f"<dt>{escape(status)}<dd>{escape(response.get('description', ''))}"
    yield "</dl></details>"


def _resolved(written: Mapping[str, Any], named: Mapping[str, Any]) -> Mapping[str, Any]:
    """What is written there, or what it refers to by the last part of a `$ref`."""
    found: Mapping[str, Any] = (
        named[written["$ref"].rpartition("/")[2]] if "$ref" in written else written
    )
    return found


def _examples(content: Mapping[str, Any]) -> Iterator[str]:
    import msgspec

    for kind, media in content.items():
        named = {
            f", {name}": one["value"]
            for name, one in media.get("examples", {}).items()
            if "value" in one
        }
        alone = {"": media["example"]} if "example" in media else {}
        for name, value in (named | alone).items():
            text = msgspec.json.format(msgspec.json.encode(value)).decode()
            yield f"<p><code>{escape(kind)}</code>{escape(name)}</p><pre>{escape(text)}</pre>"
