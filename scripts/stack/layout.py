"""Where the files of one stack lie, and which ports it uses."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from scripts.stack.errors import StackError

ROOT = Path(__file__).resolve().parents[2]

# Raised when the folders under DATA change so that an older program could not read them.
DATA_VERSION = "1"

# Linux takes ports for outgoing connections from here upwards: one of ours may be gone at a restart.
FIRST_OUTGOING_PORT = 32768

SERVICES = ("auth", "user", "chat", "message")


@dataclass(frozen=True, slots=True)
class Ports:
    """Every port of a stack, counted from the three that a person chooses."""

    http: int = 8080
    grpc_base: int = 50050
    parts_base: int = 15400

    def __post_init__(self) -> None:
        """Raise StackError for a port that no server can have, or that outgoing connections would take."""
        for option, first, count in (
            ("--http-port", self.http, 1),
            ("--grpc-base-port", self.grpc_base, 5),
            ("--parts-base-port", self.parts_base, 100),
        ):
            if not 1 <= first <= 65536 - count:
                raise StackError(f"{option} {first} is no port; choose one from 1 to {65536 - count}.")
        if self.parts_base + 100 > FIRST_OUTGOING_PORT:
            raise StackError(
                f"--parts-base-port {self.parts_base} is too high: choose one up to "
                f"{FIRST_OUTGOING_PORT - 100}, because outgoing connections take ports from there upwards."
            )

    @property
    def postgres(self) -> int:
        return self.parts_base

    @property
    def redis(self) -> int:
        return self.parts_base + 1

    @property
    def kafka(self) -> int:
        return self.parts_base + 2

    @property
    def kafka_controller(self) -> int:
        return self.parts_base + 3

    @property
    def consul(self) -> int:
        return self.parts_base + 4

    @property
    def consul_serf(self) -> int:
        return self.parts_base + 5

    @property
    def consul_server(self) -> int:
        return self.parts_base + 6

    def grpc(self, service: str) -> int:
        """The port of a service: auth, user, chat and message follow the edge's, which is the base itself."""
        return self.grpc_base + 1 + SERVICES.index(service)

    def service_metrics(self, service: str) -> int:
        return self.parts_base + 51 + SERVICES.index(service)

    def edge_metrics(self, number: int) -> int:
        """The metrics port of the edge process `number`, counted from 1."""
        return self.parts_base + 60 + number


@dataclass(frozen=True, slots=True)
class Wish:
    """What the person who calls `up` asked for."""

    ports: Ports
    edges: int
    parts_only: bool


@dataclass(frozen=True, slots=True)
class Layout:
    """The folders of one stack, all under its data folder."""

    data: Path

    @property
    def run(self) -> Path:
        return self.data / "run"

    @property
    def logs(self) -> Path:
        return self.data / "logs"

    @property
    def secrets(self) -> Path:
        return self.data / "secrets"

    @property
    def state_file(self) -> Path:
        return self.run / "state.json"

    @property
    def lock_file(self) -> Path:
        return self.run / "up.lock"

    @property
    def restoring(self) -> Path:
        """There while a restore makes this folder; its process holds a lock on it."""
        return self.data / "restoring"

    def log(self, part: str) -> Path:
        return self.logs / f"{part}.log"

    def make(self) -> None:
        """Create the folders; raise StackError when another version of this program made them."""
        version = self.data / "VERSION"
        if version.exists() and (found := version.read_text().strip()) != DATA_VERSION:
            raise StackError(
                f"{self.data} was made by another version (layout {found}, this one writes {DATA_VERSION}). "
                "Run the version that made it, move the folder away, or choose another with --data."
            )
        # Open to everybody for passing through only: PostgreSQL may run as another user inside.
        self.data.mkdir(mode=0o711, parents=True, exist_ok=True)
        # States and pids are for everybody.
        self.run.mkdir(exist_ok=True)
        for folder in (self.logs, self.secrets):
            folder.mkdir(mode=0o700, exist_ok=True)
        version.write_text(DATA_VERSION + "\n")


def cache_folder() -> Path:
    """The user's cache folder for what is downloaded once and used by every stack of this user."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    folder = Path(base) / "polychat"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
