"""How a connection is left whose client may send without end, read nothing, or never go: nobody
waits for it for long. Used by `api.server`, `api.heads` and `api.body`.
"""

import select
import socket
import struct
import time

#: A client that takes nothing of its answer for so long gets no more of it.
STUCK_SECONDS = 30.0
#: Who was answered, and is to go, may take so long over it, and still send so much.
_LINGER_SECONDS = 2.0
_LINGER_BYTES = 64 * 1024


def stop_listening(connection: socket.socket) -> None:
    """A read in progress finds the end of the stream; an answer can still be sent.

    The server closes the connection then, and need not wait for the client to do so.
    """
    try:
        connection.shutdown(socket.SHUT_RD)
    except OSError:  # it is gone already
        return


def bound_sending(connection: socket.socket) -> None:
    """From now on a client that takes nothing for STUCK_SECONDS ends a send that may block, with a
    BlockingIOError."""
    # Not settimeout(), which is for reading, too, and for all of an answer.
    whole = int(STUCK_SECONDS)
    limit = struct.pack("@ll", whole, int((STUCK_SECONDS - whole) * 1e6))
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)


def linger(connection: socket.socket) -> None:
    """Say that this was all, and let the client go first for a moment: to close while it still
    sends would take the end of its answer from it."""
    until = time.monotonic() + _LINGER_SECONDS
    left = _LINGER_BYTES
    try:
        connection.shutdown(socket.SHUT_WR)
        watched = select.poll()
        watched.register(connection, select.POLLIN)
        while left > 0 and watched.poll(max(0.0, until - time.monotonic()) * 1000):
            piece = connection.recv(4096, socket.MSG_DONTWAIT)
            if not piece:
                return
            left -= len(piece)
    except OSError:  # it is gone already
        return
