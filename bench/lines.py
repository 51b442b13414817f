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
        if lab.slow_network:
            self.prefix = stack.enter_context(SlowNetwork()).prefix
        elif not counted:
            return
        kind = DelayingProxy if lab.slow_network else CountingProxy
        self.server = stack.enter_context(kind(lab.server.port))
        self.daemon = stack.enter_context(kind(daemon.port))
        self.server_url = self.server.url
        self.daemon_url = self.daemon.url.replace("http", "rsync", 1)
