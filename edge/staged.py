"""What leaves for chat with the next message of the link. No I/O."""

from __future__ import annotations

from dataclasses import dataclass, field

from polychat.internal.link.v1 import link_service_pb2 as pb

FRAME_BYTES = 512 * 1024
"""A message on the link stays far below gRPC's limit of 4 MiB."""


@dataclass(slots=True)
class Staged:
    """Tokens by connection, sends by tag, in the order they came."""

    open: dict[int, str] = field(default_factory=dict)
    closed: list[int] = field(default_factory=list)
    refresh: dict[int, str] = field(default_factory=dict)
    sends: dict[int, pb.Send] = field(default_factory=dict)
    signals: list[pb.ConnectionSignal] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.open or self.closed or self.refresh or self.sends or self.signals)

    def take(self, edge_instance: str = "") -> pb.AttachRequest:
        """The next message: everything, sends and tokens as far as they fit; the first one names the edge."""
        request = pb.AttachRequest(edge_instance=edge_instance)
        room = FRAME_BYTES
        for source, target in ((self.open, request.open), (self.refresh, request.refresh)):
            while source and room > 0:
                connection_id = next(iter(source))
                token = source.pop(connection_id)
                target.add(connection_id=connection_id, access_token=token)
                room -= len(token) + 16
        request.closed_connection_ids.extend(self.closed)
        self.closed.clear()
        while self.sends and room > 0 and not self.open:
            send = self.sends.pop(next(iter(self.sends)))
            request.sends.append(send)
            room -= send.ByteSize()
        request.signals.extend(self.signals)
        self.signals.clear()
        return request
