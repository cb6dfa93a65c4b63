"""Apache Kafka in KRaft mode: one process that is broker and controller."""

from __future__ import annotations

import asyncio
import base64
import logging
import os
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from scripts.stack.errors import NotReadyError
from scripts.stack.kafka_jars import java, kafka_jars
from scripts.stack.layout import Layout
from scripts.stack.part import Launch, Part
from scripts.stack.provision_kafka import provision_kafka
from scripts.stack.tools import run_tool

NAME = "kafka"
SMALL_MEMORY = "-Xms64m -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1"
PROBE_MILLISECONDS = 3000

SETTINGS = """\
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:{controller}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}{more_listeners}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}{more_advertised}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT{more_plain}
log.dirs={data}
# The topics are ours to make: a typing error must not create one.
auto.create.topics.enable=false
# One broker: the defaults of these want three.
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
offsets.topic.num.partitions=8
group.initial.rebalance.delay.ms=0
log.cleaner.dedupe.buffer.size=8388608
num.network.threads=2
num.io.threads=2
# Back 5 s after a SIGKILL; with the defaults the controller waits 13 to 18 s for the old broker.
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=1000
# Twice a second a record about nothing, unless told otherwise.
metadata.max.idle.interval.ms=5000
"""


class Kafka(Part):
    """The embedded broker, or the ones that POLYCHAT_KAFKA_BOOTSTRAP names."""

    def __init__(
        self,
        layout: Layout,
        port: int,
        controller_port: int,
        external_bootstrap: str | None,
        listeners: Mapping[str, tuple[int, int]],
    ) -> None:
        """`listeners` are further ones, by name: the port listened on, and the one that clients are told."""
        super().__init__(NAME, None if external_bootstrap else port)
        self._folder = layout.data / NAME
        self._scratch = layout.run / "kafka-tmp"
        self._controller_port = controller_port
        self._listeners = listeners
        self._external = external_bootstrap is not None
        self._jars: Path | None = None
        self.bootstrap = external_bootstrap or f"127.0.0.1:{port}"
        # The client reports every refused connection to a broker that still starts; the probe tells it once.
        logging.getLogger("aiokafka").addHandler(logging.NullHandler())
        logging.getLogger("aiokafka").propagate = False

    async def fetch(self) -> None:
        if self._external:
            return
        self._jars = await kafka_jars()
        # Messages lie in there as they were written.
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._write_settings()
        if not (self._folder / "log" / "meta.properties").exists():
            identity = base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
            options = ("format", "--standalone", f"--cluster-id={identity}", "-c", str(self._settings))
            command = (*self._java(), "kafka.tools.StorageTool", *options)
            await run_tool(command, what="format Kafka's log folder", cwd=self._folder)

    async def prepare(self) -> None:
        if not self._external:
            self._write_settings()
            # Native libraries that the JVM unpacks, and leaves behind when it is killed.
            await asyncio.to_thread(shutil.rmtree, self._scratch, ignore_errors=True)
            self._scratch.mkdir()

    @property
    def _settings(self) -> Path:
        return self._folder / "server.properties"

    def _write_settings(self) -> None:
        self._scratch.mkdir(exist_ok=True)
        data = self._folder / "log"
        more = self._listeners.items()
        self._settings.write_text(
            SETTINGS.format(
                port=self.port,
                controller=self._controller_port,
                data=data,
                more_listeners="".join(f",{name}://127.0.0.1:{port}" for name, (port, _) in more),
                more_advertised="".join(f",{name}://127.0.0.1:{told}" for name, (_, told) in more),
                more_plain="".join(f",{name}:PLAINTEXT" for name, _ in more),
            )
        )

    def _java(self) -> tuple[str, ...]:
        memory = os.environ.get("POLYCHAT_KAFKA_JVM", SMALL_MEMORY).split()
        logs = (
            "-Dorg.slf4j.simpleLogger.showDateTime=true",
            "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
        )
        return (str(java()), *memory, f"-Djava.io.tmpdir={self._scratch}", *logs, "-cp", f"{self._jars}/*")

    def launch(self) -> Launch | None:
        if self._external:
            return None
        command = (*self._java(), "kafka.Kafka", str(self._settings))
        return Launch(command, self._folder, {"PATH": os.environ.get("PATH", os.defpath)})

    async def probe(self) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap, request_timeout_ms=PROBE_MILLISECONDS)
        try:
            await admin.start()
            await admin.describe_cluster()
        except (KafkaError, OSError, TimeoutError) as error:
            raise NotReadyError(str(error)) from error
        finally:
            await admin.close()

    async def provision(self) -> None:
        await provision_kafka(self.bootstrap)
