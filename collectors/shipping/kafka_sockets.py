"""Sockets that make up for what kafka-python 3.0 does with connections that end."""

import socket
import ssl
from functools import cache
from typing import Any


class _LastBytes:
    """A socket whose end is seen one look after its last bytes.

    A broker that refuses somebody says why and hangs up at once. Reading both in one go,
    kafka-python 3.0 forgets the bytes: its ``_read_from_sock`` aborts on the end alone.
    """

    _fed = False

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        """See socket.socket: what came, then BlockingIOError, then the end or its error."""
        fed, self._fed = self._fed, False
        try:
            data: bytes = super().recv(buflen, flags)  # type: ignore[misc]
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except OSError:
            if fed:
                raise BlockingIOError from None
            raise
        if fed and not data:
            raise BlockingIOError
        self._fed = bool(data)
        return data


class TcpSocket(_LastBytes, socket.socket):
    """What a connection without TLS reads from."""


@cache
def direct() -> str:
    """A way to connect that closes what fails; kafka-python 3.0 leaves that to the collector."""
    from kafka.net.inet import KafkaNetSocket

    class _Direct(KafkaNetSocket):  # type: ignore[misc]
        SCHEMES = ("direct",)

        async def sock_connect(
            self,
            net: Any,  # noqa: ANN401 - the same
            sock: socket.socket,
            *arguments: object,
            **named: object,
        ) -> socket.socket:
            try:
                await super().sock_connect(net, sock, *arguments, **named)
            except BaseException:
                sock.close()
                raise
            return sock

        def socket(self, *family: int) -> TcpSocket:
            return TcpSocket(*family)

    return "direct://"


class TlsSocket(_LastBytes, ssl.SSLSocket):
    """Closed when the handshake fails: kafka-python 3.0 leaves that to the garbage collector."""

    def do_handshake(self, block: bool = False) -> None:
        """See ssl.SSLSocket."""
        try:
            super().do_handshake(block)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except OSError:
            self.close()
            raise
