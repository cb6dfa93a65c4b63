"""Where the contract and what is generated from it are kept."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROTO = ROOT / "proto"
GEN = ROOT / "gen"
DESCRIPTOR_SET = "polychat.binpb"


def sources() -> list[str]:
    """Return every `.proto` file, relative to `proto/`, in an order that never changes."""
    return sorted(path.relative_to(PROTO).as_posix() for path in PROTO.rglob("*.proto"))


def services(files: list[str]) -> list[str]:
    """Return those of `files` that define a service: only they get gRPC stubs."""
    return [name for name in files if name.endswith("_service.proto")]
