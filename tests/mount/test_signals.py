# SPDX-License-Identifier: MIT
"""Who waits in a mount can be killed, soon; and no other signal breaks a call."""

import os
import signal
import time

from calls import Call
from mount_load import Load, make_tree
from proxies import FaultyProxy, Silence

COLD = ("read", "read direct", "fault", "execute")


def test_many_who_wait_die_soon(server, project, agent_push, new_mount, tmp_path, stack):
    """Of every kind of call, all at once: in no wait of the mount's is anybody unkillable."""
    source = make_tree(tmp_path / "source")
    for kind in COLD:
        for number in range(8):
            (source / f"{kind}-{number}").write_bytes(os.urandom(20_000))
            (source / f"{kind}-{number}").chmod(0o755)
    agent_push(server, source, project, "app", "v1")
    (source / "changed").write_text("so that v2 is another")
    agent_push(server, source, project, "app", "v2")
    with Silence(server, r"/(blobs|versions|tree)") as silence:
        mount = new_mount(silence.proxy.url, server.all_rights, deadline="200s", prefetch="none")
        app = mount / project / "app"
        assert sorted(os.listdir(app)) == ["v1", "v2"]
        assert (app / "v1" / "files").is_dir()
        silence.hold()
        calls = [stack.enter_context(Call(kind, app / "v1" / f"{kind}-{number}"))
                 for kind in COLD for number in range(8)]
        calls += [stack.enter_context(Call("stat", app / f"unheard-{number}"))
                  for number in range(8)]
        calls += [stack.enter_context(Call("list", app / "v2")) for _ in range(8)]
        for call in calls:
            call.await_sleep()
        assert all(call.is_waiting() for call in calls)
        killed = time.monotonic()
        for call in calls:
            call.kill()
        for call in calls:
            assert call.process.wait(100) == -signal.SIGKILL
        # That neither the deadline nor the answer came says that the kill did it.
        print(f"{len(calls)} dead after {(time.monotonic() - killed) * 1000:.0f} ms")
        silence.let()
        assert (app / "v1" / "read-0").read_bytes() == (source / "read-0").read_bytes()


def test_a_storm_of_signals_is_not_seen(server, project, agent_push, new_mount, tmp_path):
    """Three timers a program, and every byte comes from far away, since the cache has no room."""
    tree = make_tree(tmp_path / "copy")
    agent_push(server, tree, project, "app", "v1")
    with FaultyProxy(server.port) as line:
        mount = new_mount(line.url, server.all_rights, cache_size="1M", prefetch="none")
        top = mount / project / "app" / "v1"
        assert (top / "files").is_dir()
        line.fault = lambda number, kind, at, block: time.sleep(0.03) or block
        with Load(top, tree, count=3) as load:
            until = time.monotonic() + 8
            while time.monotonic() < until:
                load.check()
                time.sleep(0.2)
        line.fault = None
        print(f"{load.looks} looks, the longest "
              f"{max(end - start for _, start, end in load.waits):.2f} s, "
              f"{mount.status()['requests']} requests")
        assert mount.status()["requests"] > 50
