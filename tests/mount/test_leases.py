# SPDX-License-Identifier: MIT
"""What is in use on a mount, and that the server is told: leases."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest

from agent import Agent, clean_environment, run
from mounts import eventually, forget_pages
from passed_files import passed, whole
from proxies import CountingProxy
from server import program

HOST = socket.gethostname()
ADMIN = "/api/v1/projects/{}/apps/{}/versions/{}"


@pytest.fixture
def hurried(monkeypatch):
    """Mounts whose looks are frequent, and in which a use does not count for long."""
    more = {"KKARTIFACT_FS_LOOK_MS": "300", "KKARTIFACT_FS_USED_MS": "10000"}
    monkeypatch.setattr("mounts.clean_environment", lambda home: clean_environment(home, **more))


def leases(server, project):
    """place -> lease, as GET /hosts has them."""
    answer = server.request("GET", f"/api/v1/hosts?project={project}", token=server.all_rights)
    assert answer.status == 200, answer
    return {item["place"]: item for item in answer.json()["items"]}


def place(mount, name):
    return f"{mount.path}/{name}"


def shown(mount, name):
    """The object of a version in status."""
    for item in mount.status()["versions"]:
        if f"{item['project']}/{item['app']}/{item['version']}" == name:
            return item
    return None


def delete(server, name, token, force=False):
    return server.request("DELETE", ADMIN.format(*name.split("/")) + "?force=1" * force,
                          token=token)


def test_what_is_read_is_leased(server, project, push, new_mount, tmp_path):
    name = f"{project}/app/v1"
    push(server, name, {"a": b"1", "large": os.urandom(3_000_000)})
    push(server, f"{project}/app/v2", {"a": b"1"})
    mount = new_mount(server.url, server.all_rights, prefetch="none")
    assert sorted(os.listdir(mount / project / "app")) == ["v1", "v2"]
    assert "large" in os.listdir(mount / name)
    assert shown(mount, name)["in_use"] == []
    assert (mount / name / "a").read_bytes() == b"1"
    eventually(lambda: leases(server, project))
    lease = leases(server, project)[place(mount, name)]
    assert (lease["host"], lease["version"]) == (HOST, "v1")
    assert (lease["mode"], lease["state"], lease["stale"]) == ("mount", "partial", False)
    assert len(leases(server, project)) == 1
    agent = Agent(tmp_path / "agent", server.url, server.all_rights)
    table = agent.run("hosts", f"{project}/app").expect(0).stdout
    assert HOST in table and "mount" in table and place(mount, name) in table
    status = shown(mount, name)
    assert status["in_use"] == ["recent"]
    assert (status["lease"]["state"], status["lease"]["error"]) == ("held", "")
    assert status["lease"]["renewed_at"] == lease["renewed_at"]
    told = mount.status()["leases"]
    assert (told["host"], told["place"], told["held"]) == (HOST, str(mount.path), 1)
    text = mount.verb("status", mount.path).expect(0).stdout
    assert "in use (recent)" in text and f"leases    1 held as host {HOST}" in text


def test_what_the_kernel_reads_by_itself_is_leased(server, project, push, new_mount):
    name, data = f"{project}/app/v1", os.urandom(100_000)
    push(server, name, {"a": data})
    mount = new_mount(server.url, server.all_rights, passthrough="on")
    mount.verb("prefetch", mount.path, name).expect(0)
    eventually(lambda: shown(mount, name)["in_use"] == [])
    with passed(mount, mount / name / "a") as file:
        assert whole(file) == data
    assert mount.status()["passthrough"]["reads"] == 0
    assert "recent" in shown(mount, name)["in_use"]
    eventually(lambda: place(mount, name) in leases(server, project))


def test_deleted_while_in_use(server, project, push, new_mount):
    """The server keeps what is in use, and serves it even when it is made to delete it."""
    name = f"{project}/app/v1"
    source = push(server, name, {"a": b"1", "large": os.urandom(3_000_000)})
    mount = new_mount(server.url, server.all_rights, prefetch="none")
    assert (mount / name / "a").read_bytes() == b"1"
    eventually(lambda: leases(server, project))
    admin = server.token("admin")
    refused = delete(server, name, admin)
    assert (refused.status, refused.code) == (409, "leased"), refused
    assert HOST in json.dumps(refused.json())
    assert delete(server, name, admin, force=True).status in (200, 202, 204)
    eventually(lambda: os.listdir(mount / project / "app") == [])
    forget_pages()
    assert (mount / name / "large").read_bytes() == (source / "large").read_bytes()
    # To whoever uses it, and to nobody else.
    stranger = server.request("GET", ADMIN.format(*name.split("/")), token=server.token("pull"))
    assert stranger.status == 404, stranger


class User:
    """A process that has something of a version in its hands, and reads nothing meanwhile."""

    def __init__(self, how, top, directory):
        wait = "import sys, time; print('ready', flush=True); time.sleep(3600)"
        code = {
            "mmap": "import mmap, os; fd = os.open({0!r}, os.O_RDONLY);"
                    "at = mmap.mmap(fd, 0, prot=mmap.PROT_READ); os.close(fd);",
            "fd": "import os; fd = os.open({0!r}, os.O_RDONLY);",
            "cwd": "import os; os.chdir({1!r});",
        }
        if how in code:
            line = [sys.executable, "-c", code[how].format(str(top / "file"), str(top)) + wait]
        elif how == "exe":
            line = [str(top / "sh"), "-c", "echo ready; while :; do /bin/sleep 1000; done"]
        else:  # another mount name space, which does not have the mount itself
            other = directory / "elsewhere"
            other.mkdir()
            line = ["unshare", "-m", "sh", "-c",
                    'mount --bind "$1" "$2" && cd "$2" && umount -l "$3" && echo ready &&'
                    ' exec sleep 3600', "sh", str(top), str(other), str(top.parents[2])]
        self.process = subprocess.Popen(line, stdout=subprocess.PIPE, text=True,
                                        start_new_session=True)
        assert self.process.stdout.readline() == "ready\n"

    def end(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture
def new_user(tmp_path):
    made = []

    def make(how, top):
        made.append(User(how, top, tmp_path))
        return made[-1]

    yield make
    for user in made:
        if user.process.returncode is None:
            user.end()


@pytest.mark.parametrize("how", ["mmap", "fd", "cwd", "exe", "elsewhere"])
def test_who_reads_nothing_is_seen(server, project, agent_push, new_mount, new_user, hurried,
                                   tmp_path, how):
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "file").write_bytes(b"x" * 5000)
    shutil.copy("/bin/sh", tree / "sh", follow_symlinks=True)
    for version in ("v1", "v2"):
        agent_push(server, tree, project, "app", version)
    mount = new_mount(server.url, server.all_rights)
    user = new_user(how, mount / project / "app" / "v1")
    used, other = (place(mount, f"{project}/app/{version}") for version in ("v1", "v2"))
    eventually(lambda: used in leases(server, project))
    assert (mount / project / "app" / "v2" / "file").read_bytes() == b"x" * 5000
    eventually(lambda: other in leases(server, project))
    # What was only read is forgotten, what is in somebody's hands is not.
    eventually(lambda: set(leases(server, project)) == {used})
    for _ in range(5):
        assert "open" in shown(mount, f"{project}/app/v1")["in_use"]
        assert set(leases(server, project)) == {used}
        time.sleep(1)
    user.end()
    eventually(lambda: leases(server, project) == {})
    assert not (shown(mount, f"{project}/app/v1") or {}).get("in_use")


# It waits in a page fault, and for the lock of its address space: both are what a look could
# wait for. The calls run without Python's own lock.
STUCK = """
import ctypes, mmap, os, sys, threading
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int,
                      ctypes.c_long]
libc.memcpy.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]
libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
fd = os.open(sys.argv[1], os.O_RDONLY)
at = libc.mmap(None, 4096, mmap.PROT_READ, mmap.MAP_PRIVATE, fd, 0)
room = ctypes.create_string_buffer(4096)
print("ready", flush=True)
sys.stdin.readline()
threading.Thread(target=libc.memcpy, args=(room, at, 4096), daemon=True).start()
print("faults", flush=True)
while True:
    libc.munmap(libc.mmap(None, 4096, mmap.PROT_READ, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0),
                4096)
"""


def test_a_look_needs_no_worker(server, project, push, new_mount, new_user):
    """Holder and worker stand still; the look ends, and sees all."""
    name = f"{project}/app/v1"
    push(server, name, {"file": b"x" * 5000, "cold": b"y" * 5000})
    mount = new_mount(server.url, server.all_rights)
    device = os.stat(mount.path).st_dev
    slot = os.stat(mount / name).st_ino >> 40
    status = mount.status()
    new_user("mmap", mount / name)
    new_user("cwd", mount / name)
    stuck = subprocess.Popen([sys.executable, "-c", STUCK, mount / name / "cold"],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert stuck.stdout.readline() == "ready\n"
    processes = [status["holder"]["pid"], status["worker"]["pid"]]
    try:
        for pid in processes:
            os.kill(pid, signal.SIGSTOP)
        stuck.stdin.write("\n")
        stuck.stdin.flush()
        assert stuck.stdout.readline() == "faults\n"
        done = run([program("kkartifact-fs"), "--look", str(device)], within=120).expect(0)
        assert done.stdout.splitlines() == [f"{device} {slot}"]
    finally:
        for pid in processes:
            os.kill(pid, signal.SIGCONT)
        stuck.kill()
        stuck.communicate(timeout=120)
    other = run([program("kkartifact-fs"), "--look", "1"], within=120).expect(0)
    assert other.stdout == ""


def test_an_unmount_releases(server, project, push, new_mount):
    name = f"{project}/app/v1"
    push(server, name, {"a": b"1"})
    mount = new_mount(server.url, server.all_rights)
    assert (mount / name / "a").read_bytes() == b"1"
    eventually(lambda: leases(server, project))
    mount.umount()
    assert leases(server, project) == {}
    # Read in the last 24 hours it still was: the next mount says so, and nobody has to read.
    mount.mount()
    eventually(lambda: set(leases(server, project)) == {place(mount, name)})
    assert shown(mount, name)["in_use"] == ["recent"]


def test_a_silent_server_does_not_keep_a_mount(new_server, project, push, new_mount):
    server = new_server()
    name = f"{project}/app/v1"
    push(server, name, {"a": b"1"})
    with CountingProxy(server.port) as proxy:
        mount = new_mount(proxy.url, server.all_rights)
        assert (mount / name / "a").read_bytes() == b"1"
        eventually(lambda: leases(server, project))
        os.kill(server.process.pid, signal.SIGSTOP)
        try:
            mount.umount()  # the verb waits ten seconds at most; the daemon is gone behind it
        finally:
            os.kill(server.process.pid, signal.SIGCONT)


def test_a_server_that_comes_back_is_told(new_server, project, push, new_mount):
    server = new_server()
    name = f"{project}/app/v1"
    push(server, name, {"a": b"1", "b": b"2"})
    mount = new_mount(server.url, server.all_rights, deadline="2s")
    assert (mount / name / "a").read_bytes() == b"1"
    eventually(lambda: leases(server, project))
    mount.umount()
    server.kill()
    mount.mount()
    eventually(lambda: (shown(mount, name) or {}).get("lease", {}).get("state") == "failed")
    assert (mount / name / "a").read_bytes() == b"1"
    assert shown(mount, name)["lease"]["error"]
    assert "was not told what is in use" in mount.verb("status", mount.path).expect(0).stdout
    again = new_server(server.data, listen=f"127.0.0.1:{mount.url.rsplit(':', 1)[1]}")
    eventually(lambda: place(mount, name) in leases(again, project))
    eventually(lambda: shown(mount, name)["lease"]["state"] == "held")


def test_two_mounts_of_a_host(server, project, push, new_mount):
    """One token; each says only what is its own."""
    name = f"{project}/app/v1"
    push(server, name, {"a": b"1"})
    mounts = [new_mount(server.url, server.all_rights) for _ in range(2)]
    places = [place(mount, name) for mount in mounts]
    for mount in mounts:
        assert (mount / name / "a").read_bytes() == b"1"
        eventually(lambda at=place(mount, name): at in leases(server, project))
    assert set(leases(server, project)) == set(places)
    mounts[0].umount()
    assert set(leases(server, project)) == {places[1]}


def test_a_worker_that_follows_goes_on(server, project, push, new_mount):
    name = f"{project}/app/v1"
    push(server, name, {"a": b"1"})
    mount = new_mount(server.url, server.all_rights)
    assert (mount / name / "a").read_bytes() == b"1"
    eventually(lambda: shown(mount, name)["lease"] is not None and
               shown(mount, name)["lease"]["state"] == "held")
    worker = mount.worker()
    os.kill(worker, signal.SIGKILL)
    eventually(lambda: mount.worker() not in (None, worker))
    eventually(lambda: (shown(mount, name) or {}).get("in_use") == ["recent"])
    eventually(lambda: shown(mount, name)["lease"]["state"] == "held")
    assert set(leases(server, project)) == {place(mount, name)}


def test_what_was_remembered_is_damaged(server, project, push, new_mount):
    name = f"{project}/app/v1"
    push(server, name, {"a": b"1"})
    mount = new_mount(server.url, server.all_rights)
    assert (mount / name / "a").read_bytes() == b"1"
    eventually(lambda: leases(server, project))
    mount.umount()
    [remembered] = (mount.cache / "uses").iterdir()
    assert json.loads(remembered.read_text())["uses"][0]["version"] == "v1"
    remembered.write_bytes(b'{"format":1,"uses":[{"project":"../..","used_at_s":1}]}')
    mount.mount()
    assert (mount / name / "a").read_bytes() == b"1"
    mount.umount()
    assert json.loads(remembered.read_text())["uses"][0]["version"] == "v1"


def test_pinned_is_in_use(server, project, push, new_mount):
    name = f"{project}/app/v1"
    push(server, name, {"a": b"1"})
    mount = new_mount(server.url, server.all_rights)
    mount.verb("pin", mount.path, name).expect(0)
    eventually(lambda: leases(server, project))
    assert "pinned" in shown(mount, name)["in_use"]
    mount.verb("unpin", mount.path, name).expect(0)
    eventually(lambda: leases(server, project) == {})


def test_a_token_that_is_refused(server, project, push, new_mount):
    """It is said, and in nobody's way."""
    name = f"{project}/app/v1"
    push(server, name, {"a": b"1"})
    token = server.token("pull")
    mount = new_mount(server.url, token)
    assert (mount / name / "a").read_bytes() == b"1"
    eventually(lambda: leases(server, project))
    mount.umount()
    server.revoke(token)
    mount.mount()
    eventually(lambda: (shown(mount, name) or {}).get("lease", {}).get("state") == "failed")
    assert "401" in shown(mount, name)["lease"]["error"]
    assert (mount / name / "a").read_bytes() == b"1"
