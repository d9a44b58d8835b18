"""What a simulated loop must not offer: every way of asyncio to the real world."""

from __future__ import annotations

import asyncio
from typing import Any


class OutsideWorldError(RuntimeError):
    """Code under simulation reached for a real socket, file, thread, process or signal."""


def refusal(name: str) -> Any:
    """A function that raises OutsideWorldError whenever it is called."""

    def refuse(*_args: Any, **_options: Any) -> Any:
        raise OutsideWorldError(f"{name} in a simulated world: go through the ports instead")

    return refuse


class RefusingLoop(asyncio.AbstractEventLoop):
    """An event loop without any I/O: the methods below raise `OutsideWorldError`."""

    call_soon_threadsafe: Any = refusal("call_soon_threadsafe")
    run_in_executor: Any = refusal("run_in_executor")
    set_default_executor: Any = refusal("set_default_executor")
    getaddrinfo: Any = refusal("getaddrinfo")
    getnameinfo: Any = refusal("getnameinfo")
    create_connection: Any = refusal("create_connection")
    create_server: Any = refusal("create_server")
    create_unix_connection: Any = refusal("create_unix_connection")
    create_unix_server: Any = refusal("create_unix_server")
    create_datagram_endpoint: Any = refusal("create_datagram_endpoint")
    connect_accepted_socket: Any = refusal("connect_accepted_socket")
    start_tls: Any = refusal("start_tls")
    sendfile: Any = refusal("sendfile")
    connect_read_pipe: Any = refusal("connect_read_pipe")
    connect_write_pipe: Any = refusal("connect_write_pipe")
    subprocess_exec: Any = refusal("subprocess_exec")
    subprocess_shell: Any = refusal("subprocess_shell")
    add_reader: Any = refusal("add_reader")
    remove_reader: Any = refusal("remove_reader")
    add_writer: Any = refusal("add_writer")
    remove_writer: Any = refusal("remove_writer")
    sock_recv: Any = refusal("sock_recv")
    sock_recv_into: Any = refusal("sock_recv_into")
    sock_sendall: Any = refusal("sock_sendall")
    sock_connect: Any = refusal("sock_connect")
    sock_accept: Any = refusal("sock_accept")
    add_signal_handler: Any = refusal("add_signal_handler")
    remove_signal_handler: Any = refusal("remove_signal_handler")
    sock_recvfrom: Any = refusal("sock_recvfrom")
    sock_recvfrom_into: Any = refusal("sock_recvfrom_into")
    sock_sendto: Any = refusal("sock_sendto")
    sock_sendfile: Any = refusal("sock_sendfile")
    set_task_factory: Any = refusal("set_task_factory")

    def get_task_factory(self) -> None:
        """Always None: tasks are asyncio's."""
