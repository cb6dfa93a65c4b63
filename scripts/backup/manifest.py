"""What a backup says of itself: which versions wrote it, what is in it, and a checksum of every file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import IO

from scripts.stack.errors import StackError

NAME = "manifest.json"

# Raised when an older program could not restore what this one writes.
FORMAT = 1

CHUNK_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class File:
    """One file of a backup; the checksum in hexadecimal."""

    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """`counts` are rows of some tables at that instant, `schemas` the revision of each service's."""

    create_time: str
    product: str
    postgres: str
    schemas: Mapping[str, str]
    counts: Mapping[str, int]
    files: Mapping[str, File]

    def encode(self) -> bytes:
        return (json.dumps({"format": FORMAT, **asdict(self)}, indent=2) + "\n").encode()


def decode(text: bytes, where: str) -> Manifest:
    """Raise StackError when it is not a manifest, or one of a later format."""
    try:
        found = json.loads(text)
        if found["format"] != FORMAT:
            raise StackError(
                f"{where} has format {found['format']}, and this program reads {FORMAT}: restore it with the "
                "version that wrote it."
            )
        return Manifest(
            create_time=str(found["create_time"]),
            product=str(found["product"]),
            postgres=str(found["postgres"]),
            schemas={str(name): str(revision) for name, revision in found["schemas"].items()},
            counts={str(name): int(count) for name, count in found["counts"].items()},
            files={str(n): File(int(f["bytes"]), str(f["sha256"])) for n, f in found["files"].items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StackError(f"{where} is no backup: its {NAME} cannot be read ({error}).") from error


def measured(content: IO[bytes]) -> File:
    """Read to the end and give size and checksum."""
    digest, size = hashlib.sha256(), 0
    while chunk := content.read(CHUNK_BYTES):
        digest.update(chunk)
        size += len(chunk)
    return File(size, digest.hexdigest())
