"""The open listeners of a node: those of its configuration, also when that changes while it runs."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from barnabas.config.broker import BrokerConfig
from barnabas.config.endpoints import Endpoint as ListenerConfig
from barnabas.metadata.image.cluster import Endpoint
from barnabas.ports import Network
from barnabas.security.principal import ANONYMOUS
from barnabas.server.broker import Broker
from barnabas.server.connection_limits import ConnectionLimits
from barnabas.server.dispatch import build_table, unsupported_api_versions
from barnabas.server.listener import ListenerContext

log = logging.getLogger("barnabas.server")

PLAINTEXT_PROTOCOL = 0


class Listeners:
    """Opens and closes listeners. As with Apache Kafka, only names count while the node runs: one
    that is new is opened, one that is gone is closed; an address changes with the next start."""

    def __init__(self, broker: Broker, network: Network, max_connections: int | None) -> None:
        self.opened: list[ListenerContext] = []
        broker.quotas.listeners = self.opened
        self._broker = broker
        self._network = network
        self._limits = ConnectionLimits(lambda: broker.config, max_connections)
        self._unsupported = unsupported_api_versions(broker)
        self._addresses: dict[str, ListenerConfig] = {}
        self._serving = False
        self._following = self._changed = False
        self._closed = False

    async def open(self) -> None:
        """Open what the configuration says. Raises `OSError`."""
        for endpoint in self._broker.config.listeners:
            await self._open(endpoint)
        self._tell_of_nat()

    def serve(self) -> None:
        """Read requests, from now on also of listeners that are opened later."""
        self._serving = True
        for context in self.opened:
            context.serve()

    def advertised(self, hostname: str, *, controller: bool) -> list[Endpoint]:
        """What is registered, and so told to clients: advertised addresses, with real ports.

        `hostname` stands for a listener that is bound to every address of the machine.
        """
        config = self._broker.config
        told = config.advertised_listeners or config.listeners
        bound = {c.name: c.socket.address[1] for c in self.opened if c.socket is not None}
        return [
            Endpoint(
                each.name,
                hostname if each.everywhere else each.host or hostname,
                each.port or bound.get(each.name, 0),
                PLAINTEXT_PROTOCOL,
            )
            for each in _of_kind(told, config, controller)
            or _of_kind(config.listeners, config, controller)
        ]

    def sweep(self, idle_ticks: int) -> None:
        """One sweep over all connections (see `ListenerContext.sweep`)."""
        self._broker.memory.set_apart(sum(m.held for context in self.opened for m in context.muted))
        for context in self.opened:
            context.sweep(idle_ticks)

    def close(self) -> None:
        """Close every listener and all connections, for good."""
        self._closed = True
        for context in self.opened:
            context.close()

    def _tell_of_nat(self) -> None:
        """Nobody here can know an address that only the outside has: say how it is told."""
        bound = {c.name: c.socket.address[1] for c in self.opened if c.socket is not None}
        for told in self._broker.config.advertised_broker_listeners:
            if told.everywhere and told.name in bound:
                log.info(
                    "listener %s: clients are told the address that they have reached; behind NAT "
                    "or a mapped port, start with --advertise HOST:%d, as it is outside",
                    told.name,
                    told.port or bound[told.name],
                )

    # -- changes ---------------------------------------------------------------------------------

    def changed(self) -> None:
        """The configuration is another one: open and close listeners as it says."""
        self._changed = True
        if not self._following and self._serving and not self._closed:
            self._following = True
            self._broker.spawn(self._follow())

    async def _follow(self) -> None:
        try:
            while self._changed:
                self._changed = False
                self._close_gone()
                for endpoint in self._new():
                    try:
                        await self._open(endpoint)
                    except OSError as error:
                        log.error("listener %s can't be opened: %s", endpoint, error)
        finally:
            self._following = False

    def _close_gone(self) -> None:
        wanted = {endpoint.name for endpoint in self._broker.config.listeners}
        for context in [c for c in self.opened if c.name not in wanted]:
            log.info("listener %s is closed", self._addresses.pop(context.name))
            self.opened.remove(context)
            context.close()

    def _new(self) -> Iterator[ListenerConfig]:
        for endpoint in self._broker.config.listeners:
            old = self._addresses.get(endpoint.name)
            if old is None:
                yield endpoint
            elif old != endpoint:
                log.warning("listener %s becomes %s when the node starts again", old, endpoint)

    async def _open(self, endpoint: ListenerConfig) -> None:
        broker, config = self._broker, self._broker.config
        controller = endpoint.name in config.controller_listener_names
        context = ListenerContext(
            endpoint.name,
            build_table(broker, controller=controller),
            self._unsupported,
            controller=controller,
            principal=ANONYMOUS,
            max_request_bytes=config.get_int("socket.request.max.bytes"),
            memory=broker.memory,
            limits=self._limits,
            call_soon=broker.call_soon,
            recorder=broker.recorder,
            clock=broker.clock,
            quotas=broker.quotas,
        )
        context.socket = await self._network.listen(
            endpoint.host or "",
            endpoint.port,
            context.connect,
            backlog=config.get_int("socket.listen.backlog.size"),
        )
        if self._closed:
            context.close()
            return
        self._addresses[endpoint.name] = endpoint
        self.opened.append(context)
        if self._serving:
            context.serve()


def _of_kind(
    endpoints: tuple[ListenerConfig, ...], config: BrokerConfig, controller: bool
) -> list[ListenerConfig]:
    return [e for e in endpoints if (e.name in config.controller_listener_names) == controller]
