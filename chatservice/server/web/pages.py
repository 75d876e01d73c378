"""The page's files, which are the same for everyone and change with a release only."""

import gzip
import hashlib
from importlib.resources import files
from typing import NamedTuple

_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}


class Page(NamedTuple):
    """A file; `gzipped` is the same, compressed."""

    body: bytes
    gzipped: bytes
    content_type: str
    etag: str


def load_pages() -> dict[str, Page]:
    """All of them, by their paths."""
    folder = files("chatservice.server.web") / "static"
    pages = {}
    for file in folder.iterdir():
        _, _, kind = file.name.rpartition(".")
        if kind in _TYPES:
            body = file.read_bytes()
            etag = f'"{hashlib.sha256(body).hexdigest()[:20]}"'
            pages[f"/{file.name}"] = Page(body, gzip.compress(body, mtime=0), _TYPES[kind], etag)
    pages["/"] = pages.pop("/index.html")
    return pages
