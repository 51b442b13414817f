# SPDX-License-Identifier: MIT
"""other_host - runs a command where 198.51.100.7 is another host that listens.

    unshare --net python3 other_host.py PORT COMMAND...

In a network of its own, whose loopback carries that address, a listener counts who connects and
what comes. Prints one JSON object: {code, stdout, stderr, connections, received}.
"""

import json
import socket
import subprocess
import sys
import threading

ADDRESS = "198.51.100.7"  # of a block that is for documents only


def main():
    port, command = int(sys.argv[1]), sys.argv[2:]
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["ip", "address", "add", f"{ADDRESS}/32", "dev", "lo"], check=True)
    seen = []

    def accept(listener):
        while True:
            link, _ = listener.accept()
            link.settimeout(2)
            try:
                seen.append(link.recv(65536).decode(errors="replace"))
            except OSError:
                seen.append("")
            link.close()

    with socket.create_server((ADDRESS, port)) as listener:
        threading.Thread(target=accept, args=(listener,), daemon=True).start()
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              errors="replace", timeout=60, check=False)
    print(json.dumps({"code": done.returncode, "stdout": done.stdout, "stderr": done.stderr,
                      "connections": len(seen), "received": "".join(seen)}))


if __name__ == "__main__":
    main()
