"""First in PYTHONPATH, this cuts a run's Python processes off from every network.

Each attempt fails as an unplugged cable would let it, and is noted in the file NETWORK_ATTEMPTS: a
library may swallow the error.
"""

import errno
import os
import socket
import sys
from typing import Any, NoReturn

_INTERNET = (socket.AF_INET, socket.AF_INET6)
_connect, _connect_ex = socket.socket.connect, socket.socket.connect_ex


def _refuse(wanted: object) -> NoReturn:
    with open(os.environ["NETWORK_ATTEMPTS"], "a", encoding="utf-8") as file:  # noqa: PTH123
        file.write(f"{wanted} by {sys.argv}\n")
    raise OSError(errno.ENETUNREACH, "the network is cut off")


def connect(self: socket.socket, address: Any) -> None:
    if self.family in _INTERNET:
        _refuse(address)
    _connect(self, address)


def connect_ex(self: socket.socket, address: Any) -> int:
    if self.family in _INTERNET:
        _refuse(address)
    return _connect_ex(self, address)


def getaddrinfo(host: Any, *_: Any, **__: Any) -> NoReturn:
    _refuse(host)


socket.socket.connect = connect  # type: ignore[method-assign]
socket.socket.connect_ex = connect_ex  # type: ignore[method-assign]
socket.getaddrinfo = getaddrinfo
