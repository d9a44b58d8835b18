"""One socket to one node: carries out what `Exchange` decides, and watches the time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar, cast

from barnabas import __version__
from barnabas.client.config import ClientConfig
from barnabas.client.errors import CannotConnect, ClientError, ConnectionLost, RequestTimedOut
from barnabas.client.exchange import Exchange, fallback_version
from barnabas.ports import Ports, Timer, Transport
from barnabas.wire.errors import ErrorCode, KafkaError, ProtocolError
from barnabas.wire.message import Message
from barnabas.wire.messages.api_versions_request import ApiVersionsRequest
from barnabas.wire.messages.api_versions_response import ApiVersionsResponse

Response = TypeVar("Response", bound=Message)
Callback = Callable[[Message | None, Exception | None], None]
"""Called exactly once, on the loop: with the response, or with the reason why there is none."""

RECEIVE_BUFFER_BYTES = 256 * 1024


class _Call:
    """An outstanding request: whom to tell, and its deadline."""

    __slots__ = ("callback", "timer")

    def __init__(self, callback: Callback, timer: Timer) -> None:
        self.callback = callback
        self.timer = timer


class Connection:
    """A `ports.StreamProtocol` that sends requests and hands back responses.

    A request that gets no answer in time ends the connection, because everything behind it would
    wait as well. A node that throttles us (KIP-219) has answered, and reads nothing more for a while:
    what is sent meanwhile is held back here. Create one with `Connection.open`.
    """

    def __init__(self, ports: Ports, config: ClientConfig, host: str, port: int) -> None:
        self.host = host
        self.port = port
        self._clock = ports.clock
        self._config = config
        self._exchange: Exchange[_Call] = Exchange(config.client_id, config.max_response_bytes)
        self._buffer = memoryview(bytearray(RECEIVE_BUFFER_BYTES))
        self._transport: Transport | None = None
        self._error: ClientError | None = None
        self._choked = False
        self._unsent: list[Callback] = []
        self._rest: Timer | None = None
        self._rest_until_ms = 0
        self._held: list[bytearray] = []
        self.features: dict[str, int] = {}
        """Finalised feature levels of the cluster, as the node listed them."""

    @classmethod
    async def open(cls, ports: Ports, config: ClientConfig, host: str, port: int) -> Connection:
        """Connect and agree on versions. Raises `CannotConnect`."""
        self = cls(ports, config, host, port)
        setup_s = config.socket_connection_setup_timeout_ms / 1000
        try:
            async with asyncio.timeout(setup_s):
                await ports.network.connect(host, port, lambda: self)
                await self._negotiate()
        except TimeoutError:
            self.close()
            raise CannotConnect(f"{host}:{port} did not answer within {setup_s:g} s") from None
        except (OSError, ClientError, KafkaError, ValueError, OverflowError, RuntimeError) as error:
            # Also names and ports that no resolver takes, and an interpreter that is ending.
            self.close()
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise CannotConnect(f"{host}:{port}: {reason}") from error
        except BaseException:  # cancelled
            self.close()
            raise
        return self

    async def _negotiate(self) -> None:
        version: int | None = ApiVersionsRequest.VERSIONS[1]
        request = ApiVersionsRequest(
            client_software_name="barnabas", client_software_version=__version__
        )
        while version is not None:
            response = await self.request(request, ApiVersionsResponse, version=version)
            tried, version = version, fallback_version(response)
            if version == tried:
                raise ConnectionLost("the node refuses every version of ApiVersions")
        if response.error_code != ErrorCode.NONE:
            raise ConnectionLost(f"the node answered ApiVersions with {response.error_code}")
        self._exchange.negotiated(response)
        self.features = {
            feature.name: feature.max_version_level for feature in response.finalized_features
        }

    @property
    def closed(self) -> bool:
        """Whether requests are pointless."""
        return self._error is not None

    @property
    def outstanding(self) -> int:
        """How many requests wait for their response."""
        return self._exchange.outstanding

    def supports(self, request: type[Message]) -> bool:
        """Whether the node knows this API."""
        return self._exchange.supports(request)

    def version(self, request: type[Message]) -> int:
        """The version in which this request goes out. Raises `UnsupportedVersion`."""
        return self._exchange.version(request)

    def send(
        self,
        request: Message,
        response: type[Message] | None,
        callback: Callback,
        *,
        timeout_ms: int | None = None,
        version: int | None = None,
    ) -> None:
        """Send without waiting. With `response=None` there is no answer: called back once the
        bytes are the kernel's, or few enough.

        Raises `UnsupportedVersion` or `KafkaError` when the request can't be written.
        """
        if self._error is not None or self._transport is None:
            callback(None, self._error or ConnectionLost("not connected"))
            return
        if version is None:
            version = self._exchange.version(type(request))
        if response is None:
            self._write(self._exchange.send(request, version, None, None))
            if self._choked or self._rest is not None:
                self._unsent.append(callback)
            else:
                callback(None, None)
            return
        wait = self._config.request_timeout_ms if timeout_ms is None else timeout_ms
        if self._rest is not None:
            wait += self._rest_until_ms - self._clock.monotonic_ms()
        call = _Call(callback, self._clock.call_later(wait, lambda: self._timed_out(request, wait)))
        try:
            frame = self._exchange.send(request, version, response, call)
        except KafkaError:
            call.timer.cancel()
            raise
        self._write(frame)

    def _write(self, frame: bytearray) -> None:
        if self._rest is not None:
            self._held.append(frame)
        elif self._transport is not None:
            self._transport.write(frame)

    def _throttled(self, throttle_ms: int) -> None:
        """Send nothing for so long, or for as long as a request may take: no node may keep us
        waiting for ever."""
        throttle_ms = min(throttle_ms, self._config.request_timeout_ms)
        until_ms = self._clock.monotonic_ms() + throttle_ms
        if until_ms > self._rest_until_ms:
            if self._rest is not None:
                self._rest.cancel()
            self._rest_until_ms = until_ms
            self._rest = self._clock.call_later(throttle_ms, self._rested)

    def _rested(self) -> None:
        self._rest = None
        held, self._held = self._held, []
        for frame in held:
            self._write(frame)
        if not self._choked:
            self._release_unsent(None)

    async def request(
        self,
        request: Message,
        response: type[Response],
        *,
        timeout_ms: int | None = None,
        version: int | None = None,
    ) -> Response:
        """Send and wait. Raises `RequestTimedOut`, `ConnectionLost`, `UnsupportedVersion`."""
        future: asyncio.Future[Message] = asyncio.get_running_loop().create_future()

        def settle(message: Message | None, error: Exception | None) -> None:
            if future.done():
                return
            if error is not None:
                future.set_exception(error)
            elif message is not None:
                future.set_result(message)

        self.send(request, response, settle, timeout_ms=timeout_ms, version=version)
        return cast(Response, await future)

    def close(self) -> None:
        """End the connection; outstanding requests fail."""
        self._fail(ConnectionLost("the connection was closed"))

    def _timed_out(self, request: Message, waited_ms: int) -> None:
        seconds = waited_ms / 1000
        self._fail(
            RequestTimedOut(
                f"{self.host}:{self.port} did not answer {request.NAME} within {seconds:g} s"
            )
        )

    def _fail(self, error: ClientError) -> None:
        if self._error is not None:
            return
        self._error = error
        if self._transport is not None:
            self._transport.abort()
        if self._rest is not None:
            self._rest.cancel()
        self._held.clear()
        for call in self._exchange.abandon():
            call.timer.cancel()
            call.callback(None, error)
        self._release_unsent(error)

    # -- ports.StreamProtocol --

    def connection_made(self, transport: Transport) -> None:
        """The socket is open."""
        if self._error is not None:
            transport.abort()
        self._transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 (the shape of ports.StreamProtocol)
        """Memory for the next bytes."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """`nbytes` have arrived."""
        try:
            replies = self._exchange.receive(self._buffer[:nbytes])
        except ProtocolError as error:
            self._fail(ConnectionLost(f"{self.host}:{self.port} broke the protocol: {error}"))
            return
        for call, message in replies:
            call.timer.cancel()
            throttle_ms: int = getattr(message, "throttle_time_ms", 0)  # a few have no such field
            if throttle_ms > 0:
                self._throttled(throttle_ms)
            call.callback(message, None)

    def eof_received(self) -> None:
        """The node sends no more."""
        self._fail(ConnectionLost(f"{self.host}:{self.port} closed the connection"))

    def connection_lost(self, error: BaseException | None) -> None:
        """The socket is gone."""
        self._fail(ConnectionLost(f"{self.host}:{self.port}: {error or 'connection closed'}"))

    def pause_writing(self) -> None:
        """Too many bytes are queued: requests without an answer wait from now on."""
        self._choked = True

    def resume_writing(self) -> None:
        """The queue is short again."""
        self._choked = False
        if self._rest is None:
            self._release_unsent(None)

    def _release_unsent(self, error: Exception | None) -> None:
        unsent, self._unsent = self._unsent, []
        for callback in unsent:
            callback(None, error)
