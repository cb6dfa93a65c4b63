"""TCP connections between a client and an edge: asyncio transports over two pipes."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from tests.simulation.loop import Node, SimLoop, current_node
from tests.simulation.network import Network, Pipe, Wire

EOF = object()
RESET = object()
HIGH_BYTES = 64 * 1024


class Connection(Wire):
    """One TCP connection."""

    def __init__(self, network: Network, client: Node, server: Node) -> None:
        self.ends = (client, server)
        self.client = Socket(self, network, client)
        self.server = Socket(self, network, server)
        self.client.join(self.server)
        self.server.join(self.client)
        self._network = network
        network.wires[self] = None
        for node, other in ((client, self.server), (server, self.client)):
            node.on_death[self] = lambda other=other: self._died(other)  # type: ignore[misc]

    def _died(self, other: Socket) -> None:
        """The kernel of a killed process tells the other end."""
        self.over()
        other.inbound.send(RESET)

    def reset(self) -> None:
        """See Wire."""
        self.over()
        for socket in (self.client, self.server):
            socket.inbound.clear()
            socket.inbound.send(RESET)

    def over(self) -> None:
        """Both ends are done with it."""
        self._network.wires.pop(self, None)
        for node in self.ends:
            node.on_death.pop(self, None)


class Socket(asyncio.Transport):
    """One end."""

    inbound: Pipe
    other: Socket

    def __init__(self, connection: Connection, network: Network, node: Node) -> None:
        super().__init__()
        self._connection = connection
        self._network = network
        self._node = node
        self._protocol: Any = None
        self._unsent = 0
        self._high, self._low = HIGH_BYTES, HIGH_BYTES // 4
        self._told_to_pause = False
        self._reading = True
        self._stopped = False
        self._held: deque[Any] = deque()
        self._closing = False
        self._gone = False

    def join(self, other: Socket) -> None:
        """Makes the way in from the other end."""
        self.other = other
        self.inbound = Pipe(self._network, other._node, self._node, self._arrived)

    # What protocols use -------------------------------------------------------------------------

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """See asyncio."""
        names = {"peername": (self.other._node.name, 1), "sockname": (self._node.name, 1)}
        return names.get(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """See asyncio."""
        self._protocol = protocol

    def get_protocol(self) -> Any:
        """See asyncio."""
        return self._protocol

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """See asyncio."""
        self._high = HIGH_BYTES if high is None else high
        self._low = self._high // 4 if low is None else low

    def get_write_buffer_size(self) -> int:
        """Bytes that the other end has not taken."""
        return self._unsent

    def write(self, data: Any) -> None:
        """See asyncio."""
        if self._closing or self._gone:
            return
        self._unsent += len(data)
        self.other.inbound.send(bytes(data))
        if self._unsent > self._high and not self._told_to_pause:
            self._told_to_pause = True
            self._protocol.pause_writing()

    def can_write_eof(self) -> bool:
        """See asyncio."""
        return True

    def write_eof(self) -> None:
        """See asyncio."""
        if not self._closing:
            self.other.inbound.send(EOF)

    def pause_reading(self) -> None:
        """See asyncio."""
        self._reading = False

    def resume_reading(self) -> None:
        """See asyncio."""
        self._reading = True
        self._node.call(self._take_held)

    def is_reading(self) -> bool:
        """See asyncio."""
        return self._reading

    def is_closing(self) -> bool:
        """See asyncio."""
        return self._closing or self._gone

    def close(self) -> None:
        """See asyncio."""
        if not self._closing:
            self._closing = True
            self.other.inbound.send(EOF)
            self._node.call(self._lose, None)

    def abort(self) -> None:
        """See asyncio."""
        if not self._gone:
            self._closing = True
            self.other.inbound.send(RESET)
            self._node.call(self._lose, None)

    # A slow reader ---------------------------------------------------------------------------------

    def stop(self) -> None:
        """Takes no byte of what arrives, as behind a network that is too narrow."""
        self._stopped = True

    def go_on(self) -> None:
        """Takes what has arrived, and what comes."""
        self._stopped = False
        self._node.call(self._take_held)

    # What happens to it --------------------------------------------------------------------------

    def _arrived(self, item: Any) -> None:
        if item is RESET:
            self._lose(ConnectionResetError("reset by peer"))
            return
        self._held.append(item)
        self._take_held()

    def _take_held(self) -> None:
        while self._held and self._reading and not self._stopped and not self._gone:
            item = self._held.popleft()
            if item is EOF:
                if not self._protocol.eof_received() and not self._closing:
                    self.close()
                continue
            self.other._node.call(self.other._taken, len(item))
            if not self._closing:
                self._protocol.data_received(item)

    def _taken(self, count: int) -> None:
        self._unsent -= count
        if self._told_to_pause and self._unsent <= self._low and not self._gone:
            self._told_to_pause = False
            self._protocol.resume_writing()

    def _lose(self, error: Exception | None) -> None:
        if self._gone:
            return
        self._gone = self._closing = True
        self._held.clear()
        if self.other._gone:
            self._connection.over()
        if self._protocol is not None:
            self._protocol.connection_lost(error)


class Listener:
    """What `loop.create_server` gives, and the socket that `edge.listening` would."""

    def __init__(self, network: Network, node: Node) -> None:
        self._network = network
        self._node = node

    def getsockname(self) -> tuple[str, int]:
        """An address."""
        return self._node.name, 8080

    def close(self) -> None:
        """Takes no new connections."""
        self._network.listening.pop(self._node, None)


def use_sockets(loop: SimLoop, network: Network) -> None:
    """Makes the loop's connections go over the network."""

    async def connect(factory: Callable[[], Any], _host: str, _port: int) -> tuple[Socket, Any]:
        client = current_node()
        answer = loop.create_future()

        def accept() -> None:
            alive = [node for node in network.listening if node.alive]
            if not alive:
                client.call(_refuse, answer)
                return
            server = loop.random.choice(alive)
            if network.blocked(client, server) or network.blocked(server, client):
                return  # nobody answers; the client gives up by its own timeout
            connection = Connection(network, client, server)
            server.call(_made, connection.server, network.listening[server])
            network.later(network.delay(), client.call, _answer, answer, connection.client)

        network.later(network.delay(), accept)
        socket: Socket = await answer
        protocol = factory()
        socket.set_protocol(protocol)
        protocol.connection_made(socket)
        return socket, protocol

    async def listen(factory: Callable[[], asyncio.Protocol], _sock: object) -> Listener:
        node = current_node()
        network.listening[node] = factory
        node.on_death[network] = lambda: network.listening.pop(node, None) and None
        return Listener(network, node)

    loop.connect, loop.listen = connect, listen


def _made(socket: Socket, factory: Callable[[], Any]) -> None:
    protocol = factory()
    socket.set_protocol(protocol)
    protocol.connection_made(socket)


def _answer(answer: asyncio.Future[Socket], socket: Socket) -> None:
    if answer.done():
        socket.set_protocol(asyncio.Protocol())
        socket.abort()
    else:
        answer.set_result(socket)


def _refuse(answer: asyncio.Future[Socket]) -> None:
    if not answer.done():
        answer.set_exception(ConnectionRefusedError("nobody listens"))
