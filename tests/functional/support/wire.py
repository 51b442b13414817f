# SPDX-License-Identifier: MIT
"""wire - requests that no proper client sends: the bytes as they are given."""

import socket


def exchange(port, data, *, end=False, within=30):
    """Sends `data` and returns all that comes until the server closes or says no more.

    With `end` our side is closed after the data: a client that is gone in the middle.
    """
    with socket.create_connection(("127.0.0.1", port), timeout=within) as link:
        link.sendall(data)
        if end:
            link.shutdown(socket.SHUT_WR)
        answer = b""
        try:
            while block := link.recv(65536):
                answer += block
        except ConnectionResetError:
            pass
        return answer


def request(method, path, token=None, headers=(), body=b""):
    """A request with `Connection: close`; the path goes as bytes, untouched."""
    path = path if isinstance(path, bytes) else path.encode()
    lines = [method.encode() + b" " + path + b" HTTP/1.1", b"Host: 127.0.0.1",
             b"Connection: close"]
    if token is not None:
        lines.append(b"Authorization: Bearer " + token.encode())
    lines += [f"{name}: {value}".encode() for name, value in headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def status_of(answer):
    """The status of an answer; None when there is none."""
    return int(answer[9:12]) if answer.startswith(b"HTTP/1.") else None
