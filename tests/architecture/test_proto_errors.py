"""Every reason for a failure is documented with its code, its metadata and a sample that is one."""

import json
import re
from dataclasses import dataclass
from importlib import import_module
from string import Formatter

import pytest
from google.protobuf import json_format
from google.rpc import code_pb2, error_details_pb2
from polychat.error.v1.error_reason_pb2 import ErrorReason

from chassis.errors import Failure, RemoteFailure
from scripts.proto.tree import PROTO, ROOT

SOURCE = PROTO / "polychat" / "error" / "v1" / "error_reason.proto"
PREFIX = "ERROR_REASON_"
VALUE = re.compile(
    r"(?P<comment>(?:  //.*\n)+)  ERROR_REASON_(?P<name>\w+) = [1-9]\d*;",
)
FACTS = re.compile(r"Code: (?P<code>[A-Z_]+)\. Metadata: (?P<metadata>.+)\.$", re.MULTILINE)


@dataclass(frozen=True)
class Documented:
    """What the comment above one value says."""

    code: str
    metadata: list[str]
    sample: str


def read(comment: str) -> Documented:
    facts = FACTS.search(comment)
    sample = re.search(r"\{.*\}", comment)
    assert facts, f"no line `Code: … Metadata: ….` in {comment}"
    assert sample, f"no sample in {comment}"
    return Documented(facts["code"], re.findall(r"`(\w+)`", facts["metadata"]), sample[0])


COMMENTS = {found["name"]: found["comment"] for found in VALUE.finditer(SOURCE.read_text())}


def test_every_reason_is_documented() -> None:
    """No value is without a comment of its own."""
    names = {name.removeprefix(PREFIX) for name in ErrorReason.keys()}  # noqa: SIM118 - an enum is no dict
    assert set(COMMENTS) == names - {"UNSPECIFIED"}


@pytest.mark.parametrize("name", COMMENTS)
def test_a_reason_says_its_code_and_shows_its_info(name: str) -> None:
    """The code is a google.rpc.Code, and the sample is this reason's ErrorInfo with that metadata."""
    said = read(COMMENTS[name])
    info = json_format.Parse(said.sample, error_details_pb2.ErrorInfo())
    assert said.code in code_pb2.Code.keys()  # noqa: SIM118 - an enum is no dict
    assert (info.reason, info.domain) == (name, "polychat")
    assert sorted(info.metadata) == sorted(said.metadata)
    assert json.loads(said.sample) == json_format.MessageToDict(info)


# Clients in the field know these; a client chooses what to do by these.
PROMISED = {
    "REQUEST_ID_REUSED": "ALREADY_EXISTS",
    "USERNAME_TAKEN": "ALREADY_EXISTS",
    "NOT_A_MEMBER": "PERMISSION_DENIED",
    "ROLE_TOO_LOW": "PERMISSION_DENIED",
    "BANNED": "PERMISSION_DENIED",
    "BLOCKED": "PERMISSION_DENIED",
    "MUTED": "PERMISSION_DENIED",
    "ROOM_ARCHIVED": "FAILED_PRECONDITION",
    "LAST_OWNER": "FAILED_PRECONDITION",
    "RATE_LIMITED": "RESOURCE_EXHAUSTED",
    "QUOTA_EXCEEDED": "RESOURCE_EXHAUSTED",
    "BACKEND_UNAVAILABLE": "UNAVAILABLE",
    "OUTCOME_UNKNOWN": "UNAVAILABLE",
}


@pytest.mark.parametrize(("reason", "code"), PROMISED.items())
def test_a_promised_reason_keeps_its_code(reason: str, code: str) -> None:
    """Clients go by the code, so a reason never moves to another."""
    assert read(COMMENTS[reason]).code == code


def failures() -> list[type[Failure]]:
    """Import every module of ours that defines a Failure and return all of them."""
    folders = ("chassis", "discovery", "edge", "services")
    for folder in folders:
        for file in (ROOT / folder).rglob("*.py"):
            if "(Failure):" in file.read_text():
                import_module(".".join(file.relative_to(ROOT).with_suffix("").parts))
    # Other tests define some, too. A RemoteFailure has what the other service said.
    ours = (kind for kind in Failure.__subclasses__() if kind.__module__.startswith(folders))
    return [kind for kind in ours if kind is not RemoteFailure]


def told(kind: type[Failure]) -> str:
    """Write down what a Failure differs in from its reason's documentation; empty when in nothing."""
    if kind.reason not in COMMENTS:
        return f"{kind.__qualname__}: {kind.reason} is not in the contract"
    said = read(COMMENTS[kind.reason])
    surplus = {field for _, field, _, _ in Formatter().parse(kind.text) if field} - set(said.metadata)
    if kind.code.name == said.code and not surplus:
        return ""
    return f"{kind.__qualname__}: {kind.code.name} {surplus or ''}, and the contract says {said}"


def test_what_the_code_answers_is_what_the_contract_says() -> None:
    """Every Failure has a documented reason, its code, and in its text no metadata but what is documented."""
    assert list(filter(None, map(told, failures()))) == []
