# SPDX-License-Identifier: MIT
"""resolver - a name server that knows one address for every name, and can fall silent.

Run inside the network namespace of whoever asks:

    nsenter --net=... python3 resolver.py ADDRESS NAMESERVER...

It takes the addresses of the machine's name servers to its own loopback, so that the machine's
resolv.conf leads here. It answers while its standard input says "a", and is silent after "s"; each
letter is acknowledged by a line with the number of questions so far.
"""

import os
import selectors
import socket
import struct
import subprocess
import sys

PORT = 53
A, IN = 1, 1


def name_servers():
    """Those of this machine, or the one that the C library takes without any."""
    with open("/etc/resolv.conf", encoding="utf-8") as file:
        found = [line.split()[1] for line in file if line.startswith("nameserver ")]
    return [address for address in found if ":" not in address] or ["127.0.0.1"]


def answer(question, address):
    """An A record to who asks for one, and no record to who asks for another kind."""
    end = question.index(b"\0", 12) + 5
    kind = struct.unpack_from("!H", question, end - 4)[0]
    count = 1 if kind == A else 0
    head = question[:2] + struct.pack("!HHHHH", 0x8180, 1, count, 0, 0)
    record = struct.pack("!HHHIH4s", 0xC00C, A, IN, 0, 4, socket.inet_aton(address))
    return head + question[12:end] + record * count


class Resolver:
    """As a context it answers in the far host of a Network, with the near one's address."""

    def __init__(self, network):
        self.process = subprocess.Popen(
            [*network.prefix, sys.executable, "-S", __file__, network.here, *name_servers()],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)

    def _say(self, letter):
        self.process.stdin.write(letter)
        return int(self.process.stdout.readline())

    def answer(self):
        """From now on; the number of questions so far."""
        return self._say(b"a")

    def fall_silent(self):
        """From now on; the number of questions so far."""
        return self._say(b"s")

    def __enter__(self):
        self.answer()
        return self

    def __exit__(self, kind, value, trace):
        self.process.kill()
        self.process.communicate()


def main():
    address, *servers = sys.argv[1:]
    ready = selectors.DefaultSelector()
    ready.register(sys.stdin.fileno(), selectors.EVENT_READ, None)
    for server in servers:
        if not server.startswith("127."):
            subprocess.run(["ip", "address", "add", f"{server}/32", "dev", "lo"], check=True)
        link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        link.bind((server, PORT))
        ready.register(link, selectors.EVENT_READ, link)
    answers, count = False, 0
    while True:
        for key, _ in ready.select():
            if key.data is not None:
                question, asker = key.data.recvfrom(4096)
                count += 1
                if answers:
                    key.data.sendto(answer(question, address), asker)
                continue
            letter = os.read(key.fd, 1)
            if not letter:
                return
            answers = letter == b"a"
            print(count, flush=True)


if __name__ == "__main__":
    main()
