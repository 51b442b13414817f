# SPDX-License-Identifier: MIT
"""get: a part of a version, once, placed as cp would, with no state left."""

import os
import subprocess
import threading

import pytest

import trees
from agent import Agent
from proxies import CountingProxy, LyingProxy

MIB = 1 << 20


@pytest.fixture
def source(agent, names, tmp_path):
    root = trees.small_tree(tmp_path / "source")
    trees.write(root, "closed/in/file", b"x", 0o400, mtime=1234)
    trees.write(root, "closed/in/twin", b"x", 0o600)
    trees.write(root, "big", trees.random_bytes(6 * MIB, "get"), mtime=99)
    os.chmod(root / "closed/in", 0o555)
    os.chmod(root / "closed", 0o555)
    os.utime(root / "closed", (5, 5))
    agent.push(root, names.project, names.app, "v1")
    return root


@pytest.fixture
def version(names, source):
    return f"{names.project}/{names.app}/v1"


@pytest.fixture
def out(tmp_path):
    path = tmp_path / "out"
    path.mkdir()
    return path


def same_file(one, other):
    left, right = os.lstat(one), os.lstat(other)
    assert (left.st_mode, left.st_size, int(left.st_mtime)) == \
        (right.st_mode, right.st_size, int(right.st_mtime))
    assert one.read_bytes() == other.read_bytes()


def test_a_file(agent, names, source, version, out):
    done = agent.run("get", f"{version}/big", out / "named").expect(0)
    assert done.stdout == f"{version}/big\n"
    same_file(source / "big", out / "named")
    agent.run("get", f"{version}/bin/tool", out).expect(0)
    agent.run("get", f"{version}/closed/in/file", f"{out}/").expect(0)
    same_file(source / "bin/tool", out / "tool")
    same_file(source / "closed/in/file", out / "file")
    agent.run("get", f"{version}/link", out).expect(0)
    assert os.readlink(out / "link") == "bin/tool"
    assert sorted(os.listdir(out)) == ["file", "link", "named", "tool"]
    agent.run("get", f"{names.project}/{names.app}/latest/README.md", cwd=out).expect(0)
    same_file(source / "README.md", out / "README.md")
    told = agent.run("get", f"{version}/sizes/4097", out, "--json").expect(0).json()
    assert (told["version"], told["path"], told["files"], told["bytes"]) == ("v1", "sizes/4097", 1,
                                                                             4097)


def test_the_manifest(agent, mount, names, source, version, out, tmp_path):
    """The same bytes as in the mount, under the same names."""
    shown = mount / version
    for path in (".kkartifact/meta.yaml", "meta.yaml"):
        done = agent.run("get", f"{version}/{path}", out).expect(0)
        assert done.stdout == f"{version}/{path}\n"
        same_file(shown / path, out / "meta.yaml")
        assert agent.run("get", f"{version}/{path}", "-").expect(0).stdout \
            == (shown / path).read_text()
        told = agent.run("get", f"{version}/{path}", out / "named", "--json").expect(0).json()
        assert (told["path"], told["files"], told["bytes"]) == (path, 1,
                                                                (shown / path).stat().st_size)
    assert sorted(os.listdir(out)) == ["meta.yaml", "named"]
    (out / "dir/meta.yaml").mkdir(parents=True)
    agent.run("get", f"{version}/meta.yaml", out / "dir").expect(9)
    agent.run("get", f"{version}/closed/meta.yaml", out).expect(5)
    agent.run("get", f"{version}/.kkartifact/other", out).expect(2)
    trees.write(source, "meta.yaml", b"of the version's own\n")
    agent.push(source, names.project, names.app, "v2")
    agent.run("get", f"{names.project}/{names.app}/v2/meta.yaml", out / "own").expect(0)
    assert (out / "own").read_bytes() == b"of the version's own\n"
    whole = f"{names.project}/{names.app}/v2"
    agent.run("get", f"{whole}/.kkartifact/meta.yaml", out / "made").expect(0)
    assert (out / "made").read_bytes().startswith(b"format: 1\n")


@pytest.fixture(scope="module")
def large(server, tmp_path_factory):
    """A version of 15,000 files, whose tree has 1.5 MiB: the agent that pushed it, and the tree."""
    root = tmp_path_factory.mktemp("large")
    for number in range(12_000):
        trees.write(root, f"flat/{number:06}.txt", b"%d" % number)
    for number in range(3000):
        trees.write(root, f"deep/{number % 200}/{number * 7919 % 2**32:08x}", b"x%d" % number)
    trees.write(root, "flat/000000.txt", b"first", 0o755, mtime=77)
    trees.write(root, "zz/last \xff\n".encode("latin-1"), b"last")
    os.symlink("flat/000001.txt", root / "deep/link")
    agent = Agent(tmp_path_factory.mktemp("pusher"), server.url, server.all_rights)
    agent.push(root, "large", "app", "v1")
    return agent, root


@pytest.mark.parametrize("path", ["flat/000000.txt", "flat/010101.txt", "flat/011999.txt",
                                  "deep/150/00000496", "deep/link", "zz/last \udcff\n"])
def test_a_file_of_many(path, large, server, out):
    """Some pages of the tree are moved, not all of it; what comes is the same."""
    agent, root = large
    if path.startswith("deep/150"):
        path = f"deep/150/{sorted(os.listdir(root / 'deep/150'))[7]}"
    with CountingProxy(server.port) as proxy:
        agent.run("get", os.fsencode(f"large/app/v1/{path}"), out / "got", "--server",
                  proxy.url).expect(0)
        assert proxy.down < 100_000 and proxy.up < 30_000, (proxy.down, proxy.up)
    assert trees.describe(out)[b"got"] == trees.describe(root)[os.fsencode(path)]
    if path != "deep/link":
        streamed = subprocess.run(agent.line("get", os.fsencode(f"large/app/v1/{path}"), "-"),
                                  env=agent.environment, capture_output=True, check=True)
        assert streamed.stdout == (root / path).read_bytes()


@pytest.mark.parametrize("path", ["none", "flat/000000.txt/x", "flat/5", "flat/a", "deep/link/x",
                                  "deep/150/0"])
def test_none_of_many(path, large, server, out):
    agent, _ = large
    with CountingProxy(server.port) as proxy:
        done = agent.run("get", f"large/app/v1/{path}", out, "--server", proxy.url).expect(5)
        assert f'v1 has no entry "{path}"' in done.stderr and proxy.down < 100_000
    assert os.listdir(out) == []


@pytest.mark.parametrize("pattern", [r"/tree$", r"/tree/merkle$"])
def test_pages_that_are_damaged(pattern, large, server, out):
    """Then the whole tree has to come; when that is damaged too, exit 8."""
    agent, root = large

    def damage(reply):
        if reply.status == 206 or "tree$" in pattern:
            reply.body = reply.body[:-1] + bytes([reply.body[-1] ^ 1])
    with LyingProxy(server) as proxy:
        proxy.lie(pattern, damage)
        done = agent.run("get", "large/app/v1/flat/000123.txt", out, "--server", proxy.url)
        assert done.code == (8 if pattern == r"/tree$" else 0), done
    if done.code == 0:
        same_file(root / "flat/000123.txt", out / "000123.txt")
    else:
        assert os.listdir(out) == []


def test_a_directory(agent, source, version, out):
    agent.run("get", f"{version}/closed", out / "new").expect(0)
    trees.assert_same(source / "closed", out / "new")
    assert os.lstat(out / "new").st_mtime == 5
    assert oct(os.lstat(out / "new").st_mode & 0o777) == "0o555"
    agent.run("get", f"{version}/closed/in/", out).expect(0)
    trees.assert_same(source / "closed/in", out / "in")
    agent.run("get", version, out).expect(0)
    trees.assert_same(source, out / "v1")
    agent.run("get", version, out / "whole/").expect(0)
    trees.assert_same(source, out / "whole")
    assert sorted(os.listdir(out)) == ["in", "new", "v1", "whole"]


def test_a_directory_is_filled_up(agent, source, version, out):
    trees.write(out, "sizes/mine", b"mine")
    trees.write(out, "sizes/1", b"old")
    agent.run("get", f"{version}/sizes", out).expect(0)
    assert (out / "sizes/mine").read_bytes() == b"mine"
    trees.assert_same(source / "sizes", out / "sizes", without=(b"mine",))
    trees.write(out, "v1/bin/mine", b"mine")
    agent.run("get", version, out).expect(0)
    assert (out / "v1/bin/mine").read_bytes() == b"mine"
    for name in ("closed", "empty/inner", "sizes/0"):
        assert (out / "v1" / name).exists()


def test_files_and_links_are_replaced(agent, source, version, out, tmp_path):
    trees.write(tmp_path, "elsewhere", b"elsewhere")
    (out / "README.md").symlink_to(tmp_path / "elsewhere")
    trees.write(out, "tool", b"old", 0o400)
    agent.run("get", f"{version}/README.md", out).expect(0)
    agent.run("get", f"{version}/bin/tool", out / "tool").expect(0)
    same_file(source / "README.md", out / "README.md")
    same_file(source / "bin/tool", out / "tool")
    assert (tmp_path / "elsewhere").read_bytes() == b"elsewhere"


def test_what_cp_refuses_is_refused(agent, version, out):
    trees.write(out, "big/file", b"x")
    trees.write(out, "sizes", b"x")
    trees.write(out, "v1/bin", b"x")
    trees.write(out, "v1/sizes/4096/deep", b"x")
    os.mkfifo(out / "link")
    before = trees.describe(out)
    for path, dest in (("/big", out), ("/sizes", out), ("/sizes", out / "sizes"), ("", out),
                       ("/big", f"{out}/none/"), ("/big", out / "none/name"), ("/link", out)):
        done = agent.run("get", version + path, dest).expect(9)
        assert done.stdout == ""
    assert trees.describe(out) == before


def test_standard_output(agent, source, version, tmp_path):
    for name in ("big", "sizes/0", "sizes/524289", "README.md"):
        line = agent.line("get", f"{version}/{name}", "-")
        done = subprocess.run(list(map(str, line)), env=agent.environment, capture_output=True,
                              cwd=tmp_path, timeout=120, check=True)
        assert done.stdout == (source / name).read_bytes()
        assert done.stderr == b""
    agent.run("get", f"{version}/bin", "-").expect(2)
    agent.run("get", f"{version}/link", "-").expect(2)
    agent.run("get", f"{version}/big", "-", "--json").expect(2)


def test_a_reader_that_goes_away(agent, version, tmp_path):
    line = " ".join(f"'{word}'" for word in agent.line("get", f"{version}/big", "-"))
    done = subprocess.run(["bash", "-c", f"{line} | head -c 10; echo ${{PIPESTATUS[0]}} >&2"],
                          env=agent.environment, capture_output=True, timeout=60, check=True)
    assert len(done.stdout) == 10
    assert done.stderr.decode().splitlines()[-1] == "9"


def test_what_is_not_there(agent, names, version, out):
    for path in (f"{version}/none", f"{version}/README.md/x", f"{names.project}/{names.app}/v9/x",
                 f"{names.project}/none/v1", f"{names.project}/{names.app}/@none/x"):
        agent.run("get", path, out).expect(5)
        agent.run("get", path, "-").expect(5)
    for path in (names.project, f"{names.project}/{names.app}", f"{version}/../x", f"{version}//x"):
        agent.run("get", path, out).expect(2)
    assert os.listdir(out) == []


def flip(reply):
    if len(reply.body) > 600_000 or len(reply.body) == 524_288:
        at = min(len(reply.body) - 1, 524_288 + 100)
        reply.body = reply.body[:at] + bytes([reply.body[at] ^ 1]) + reply.body[at + 1:]


def test_wrong_bytes_never_get_the_name(server, source, version, out, tmp_path):
    with LyingProxy(server) as proxy:
        agent = Agent(tmp_path / "lied-to", proxy.url, server.all_rights, retries=1)
        proxy.lie(r"/blobs/[0-9a-f]{64}$", flip)
        agent.run("get", f"{version}/big", out).expect(8)
        agent.run("get", version, out).expect(8)
        assert os.listdir(out) == []
        line = agent.line("get", f"{version}/big", "-")
        done = subprocess.run(list(map(str, line)), env=agent.environment, capture_output=True,
                              timeout=120, check=False)
        assert done.returncode == 8
        assert (source / "big").read_bytes().startswith(done.stdout)
        assert len(done.stdout) % 524_288 == 0, "only whole pieces, all of them right"


def test_only_what_is_wanted_travels(server, source, version, out, tmp_path):
    with CountingProxy(server.port) as proxy:
        agent = Agent(tmp_path / "counted", proxy.url, server.all_rights)
        agent.run("get", f"{version}/bin", out).expect(0)
        assert proxy.down < 100_000
        proxy.reset()
        agent.run("get", f"{version}/closed", out).expect(0)
        trees.assert_same(source / "closed", out / "closed")


def test_interrupted(server, source, version, out, tmp_path):
    with CountingProxy(server.port) as proxy:
        agent = Agent(tmp_path / "slow", proxy.url, server.all_rights)
        with agent.start("get", version, out) as getting:
            while proxy.down < MIB and getting.poll() is None:
                pass
            getting.terminate()
            code = getting.wait(60)
        assert code in (0, 130)
        assert os.listdir(out) == ([] if code else ["v1"])


def test_what_a_killed_get_leaves(agent, server, source, version, out, tmp_path):
    """It goes with the next get there, but not while its get is at work."""
    trees.write(out, ".kkartifact-get-mine", b"not an agent's")
    over, asked = threading.Event(), threading.Event()

    def wait(reply):
        asked.set()
        over.wait(60)
    with LyingProxy(server) as proxy:
        proxy.lie(r"/blobs/[0-9a-f]{64}$", wait)
        slow = Agent(tmp_path / "slow", proxy.url, server.all_rights)
        with slow.start("get", f"{version}/big", out / "first") as getting:
            try:
                assert asked.wait(60)
                agent.run("get", f"{version}/bin", out).expect(0)
                left = set(os.listdir(out)) - {".kkartifact-get-mine", "bin"}
                assert len(left) == 1 and left.pop().startswith(".kkartifact-get-")
            finally:
                getting.kill()
                over.set()
    agent.run("get", f"{version}/bin/tool", out).expect(0)
    assert sorted(os.listdir(out)) == [".kkartifact-get-mine", "bin", "tool"]
