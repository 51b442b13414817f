# SPDX-License-Identifier: MIT
"""lines - what leads to the server and to rsync's daemon: loopback as it is, or past a proxy that
counts every byte; when the lab is on a slow network, a slow line to each, counted too."""

from proxies import CountingProxy
from slow_network import DelayingProxy, SlowNetwork


class Lines:
    """Programs at their far end are started with `prefix` before their words. `server` and `daemon`
    count, None where nobody does."""

    def __init__(self, lab, daemon, stack, *, counted=True):
        self.prefix = []
        self.server = self.daemon = None
        self.server_url, self.daemon_url = lab.server.url, daemon.url
        kind, address = CountingProxy, "127.0.0.1"
        if lab.slow_network:
            network = stack.enter_context(SlowNetwork())
            self.prefix = network.prefix
            kind, address = DelayingProxy, network.here
        elif not counted:
            return
        self.server = stack.enter_context(kind(lab.server.port, address))
        self.daemon = stack.enter_context(kind(daemon.port, address))
        self.server_url = self.server.url
        self.daemon_url = self.daemon.url.replace("http", "rsync", 1)
