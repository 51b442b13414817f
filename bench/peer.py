# SPDX-License-Identifier: MIT
"""peer - nginx, set up to be fast: sendfile on, tcp_nopush off (it halves the rate of small
ranges), no log, connections that stay."""

import socket
import subprocess
import time

CONFIGURATION = """
daemon off;
user root;
worker_processes auto;
pid {directory}/pid;
error_log {directory}/error.log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush off;
    tcp_nodelay on;
    keepalive_requests 100000000;
    server {{ listen 127.0.0.1:{port}; root {root}; }}
}}
"""


class Nginx:
    def __init__(self, directory, root):
        self.directory = directory
        self.root = root

    def __enter__(self):
        self.directory.mkdir(exist_ok=True)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        configuration = self.directory / "nginx.conf"
        configuration.write_text(CONFIGURATION.format(directory=self.directory, port=self.port,
                                                      root=self.root))
        self.process = subprocess.Popen(["nginx", "-c", configuration], stdin=subprocess.DEVNULL)
        until = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
                return self
            except OSError:
                if self.process.poll() is not None or time.monotonic() > until:
                    raise
                time.sleep(0.02)

    def __exit__(self, kind, value, trace):
        self.process.terminate()
        self.process.wait(20)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"
