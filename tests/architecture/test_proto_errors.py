"""Every reason for a failure is documented with its code, its metadata and a sample that is one."""

import json
import re
from dataclasses import dataclass

import pytest
from google.protobuf import json_format
from google.rpc import code_pb2, error_details_pb2
from polychat.error.v1.error_reason_pb2 import ErrorReason

from scripts.proto.tree import PROTO

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
