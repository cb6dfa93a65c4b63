"""What reflection shows: the files of our services with their JSON names spelled out.

protoc leaves `json_name` out of the descriptors that Python loads. Clients that know a service by
reflection alone, grpcurl above all, would then print `room_id` where everything else says `roomId`.
The details of errors are no part of any service, so their files are added too.
"""

from __future__ import annotations

from collections.abc import Sequence

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import Descriptor, FileDescriptor
from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.rpc import error_details_pb2


def pool_of(services: Sequence[str]) -> DescriptorPool:
    """A pool with these services and all that they need. KeyError for one that is not loaded."""
    pool = DescriptorPool()
    added: set[str] = set()
    _add(error_details_pb2.DESCRIPTOR, pool, added)
    for name in services:
        _add(descriptor_pool.Default().FindServiceByName(name).file, pool, added)
    return pool


def _add(file: FileDescriptor, pool: DescriptorPool, added: set[str]) -> None:
    if file.name in added:
        return
    added.add(file.name)
    for needed in file.dependencies:
        _add(needed, pool, added)
    proto = FileDescriptorProto()
    file.CopyToProto(proto)
    for message in proto.message_type:
        _spell_out(message, file.message_types_by_name[message.name])
    pool.AddSerializedFile(proto.SerializeToString())


def _spell_out(message: DescriptorProto, descriptor: Descriptor) -> None:
    for field in message.field:
        field.json_name = descriptor.fields_by_name[field.name].json_name
    for nested in message.nested_type:
        _spell_out(nested, descriptor.nested_types_by_name[nested.name])
