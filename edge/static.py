"""The web client's files, and the headers every HTTP answer of ours has."""

from __future__ import annotations

import hashlib
import mimetypes
from dataclasses import dataclass
from pathlib import Path

CSP = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "font-src 'self'",
        "img-src 'self' blob: data:",
        "connect-src 'self'{socket}",
        "media-src 'self' blob:",
        "manifest-src 'self'",
        "base-uri 'none'",
        "object-src 'none'",
        "frame-ancestors 'none'",
        "form-action 'self'",
        "require-trusted-types-for 'script'",
    )
)
SECURITY_HEADERS: tuple[tuple[str, str], ...] = (
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(), microphone=(), geolocation=(), payment=(), usb=()"),
    ("strict-transport-security", "max-age=31536000; includeSubDomains"),
)
"""HSTS counts over TLS only: browsers pass it over on plain HTTP (RFC 6797 section 8.1)."""

NOT_BUILT = b"""<!doctype html><html lang="en"><meta charset="utf-8"><title>Polychat</title>
<h1>Polychat</h1><p>The edge runs, and the web client is not built yet.</p></html>
"""
FOR_EVER = "public, max-age=31536000, immutable"
"""For files under `assets/`: their names change with their content."""
ASK_AGAIN = "no-cache"
TYPES = {".js": "text/javascript", ".mjs": "text/javascript", ".webmanifest": "application/manifest+json"}


@dataclass(frozen=True, slots=True)
class StaticFile:
    """One file, ready to be sent."""

    content: bytes
    content_type: str
    cache: str
    etag: str


def content_security_policy(host: str) -> str:
    """The policy of the page: nothing but ourselves; some browsers want the socket named."""
    safe = host if host and all(c.isalnum() or c in ".-:[]" for c in host) else ""
    return CSP.format(socket=f" ws://{safe} wss://{safe}" if safe else "")


class StaticFiles:
    """The files below a root, kept in memory; read anew when `index.html` changes."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._files: dict[str, StaticFile] = {}
        self._stamp: tuple[int, int] | None = None

    def get(self, path: str) -> StaticFile | None:
        """The file of an URL path; the page itself for a path without a file name; None: not found."""
        self._refresh()
        found = self._files.get(path)
        if found is None and "." not in path.rpartition("/")[2]:
            found = self._files.get("/index.html") or StaticFile(
                NOT_BUILT, "text/html; charset=utf-8", ASK_AGAIN, _etag(NOT_BUILT)
            )
        return found

    def _refresh(self) -> None:
        try:
            stat = (self._root / "index.html").stat()
        except OSError:
            self._files, self._stamp = {}, None
            return
        stamp = (stat.st_mtime_ns, stat.st_size)
        if stamp != self._stamp:
            self._files = {
                "/" + path.relative_to(self._root).as_posix(): _load(path)
                for path in self._root.rglob("*")
                if path.is_file() and not path.is_symlink()
            }
            self._stamp = stamp


def _load(path: Path) -> StaticFile:
    content = path.read_bytes()
    kind = TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    if kind.startswith("text/"):
        kind += "; charset=utf-8"
    cache = FOR_EVER if "assets" in path.parts else ASK_AGAIN
    return StaticFile(content, kind, cache, _etag(content))


def _etag(content: bytes) -> str:
    return f'"{hashlib.sha256(content).hexdigest()[:32]}"'
