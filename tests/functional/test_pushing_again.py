# SPDX-License-Identifier: MIT
"""A name and its content: pushed twice, pushed as something else, resumed after a failure."""

import os
import subprocess
import time

import pytest

import trees
from agent import Agent
from proxies import CountingProxy


def versions(server, names):
    answer = server.request(
        "GET", f"/api/v1/projects/{names.project}/apps/{names.app}/versions",
        token=server.all_rights)
    if answer.status == 404:
        return []
    assert answer.status == 200
    return [item["version"] for item in answer.json()["items"]]


def test_second_push_says_exists_and_sends_little(server, names, tmp_path):
    source = trees.small_tree(tmp_path / "source", seed="only here")
    for number in range(2000):
        trees.write(source, f"many/{number % 40}/{number}", b"%d\n" % number)
    with CountingProxy(server.port) as proxy:
        agent = Agent(tmp_path / "agent", proxy.url, server.all_rights)
        first = agent.push(source, names.project, names.app, "v1")
        assert first["state"] == "created"
        assert proxy.up > 4 << 20
        proxy.reset()
        second = agent.push(source, names.project, names.app, "v1")
        assert second["state"] == "exists"
        assert proxy.total < 20_000, "with headers, both ways"
        assert second["sent_bytes"] < 20_000
        assert {key: second[key] for key in ("content", "files", "bytes")} == {
            key: first[key] for key in ("content", "files", "bytes")}


def test_second_push_by_another_agent(server, names, tmp_path):
    """An agent that knows nothing hashes everything, and still sends little."""
    source = trees.small_tree(tmp_path / "source")
    Agent(tmp_path / "one", server.url, server.all_rights).push(source, names.project, names.app)
    with CountingProxy(server.port) as proxy:
        other = Agent(tmp_path / "two", proxy.url, server.all_rights)
        assert other.push(source, names.project, names.app)["state"] == "exists"
        assert proxy.total < 20_000


def test_name_is_made_of_the_content(agent, names, tmp_path):
    source = trees.small_tree(tmp_path / "source")
    pushed = agent.push(source, names.project, names.app)
    assert pushed["version"] == pushed["content"][:12]
    assert (pushed["project"], pushed["app"]) == (names.project, names.app)
    assert pushed["files"] == 12
    plain = agent.run("push", source, "--project", names.project, "--app", names.app).expect(0)
    assert plain.stdout == f"{names.project}/{names.app}/{pushed['version']}\n"


def test_content_is_what_the_formats_say(agent, names, tmp_path):
    """The published vector: d 0755 a; f 0644 a/b; l a/l; f 0755 a-b; a name with a line feed."""
    source = tmp_path / "source"
    trees.write(source, "a/b", b"hello")
    (source / "a").chmod(0o755)
    (source / "a/l").symlink_to("../a-b")
    trees.write(source, "a-b", b"", 0o755)
    trees.write(source, b"n\nl", b"hello")
    assert agent.push(source, names.project, names.app)["content"] == (
        "59b70a67ee19d6c1dc5b623ea2ad961d83798c9950d60058626132d02b09fbd8")


@pytest.mark.parametrize("change", ["bytes", "mode", "name", "gone", "more"])
def test_other_content_under_the_name(change, agent, server, names, tmp_path):
    source = trees.small_tree(tmp_path / "source")
    first = agent.push(source, names.project, names.app, "v1")
    copy = tmp_path / "before"
    agent.pull(copy, names.project, names.app, "v1")
    before = trees.describe(copy, without=(b".kkartifact",))
    if change == "bytes":
        trees.write(source, "README.md", b"other\n")
    elif change == "mode":
        (source / "bin/tool").chmod(0o700)
    elif change == "name":
        (source / "README.md").rename(source / "readme.md")
    elif change == "gone":
        (source / "README.md").unlink()
    else:
        trees.write(source, "more", b"")
    done = agent.push(source, names.project, names.app, "v1", code=6)
    assert "v1" in done.stderr and first["content"][:12] in done.stderr
    assert versions(server, names) == ["v1"]
    agent.pull(tmp_path / "after", names.project, names.app, "v1", "--full-check")
    assert trees.describe(tmp_path / "after", without=(b".kkartifact",)) == before
    assert agent.push(source, names.project, names.app, "v2")["state"] == "created"


def test_times_are_no_part_of_the_identity(agent, mount, names, tmp_path):
    source = trees.small_tree(tmp_path / "source")
    trees.write(source, "README.md", b"x", mtime=1000)
    agent.push(source, names.project, names.app, "v1")
    trees.write(source, "README.md", b"x", mtime=2000)
    assert agent.push(source, names.project, names.app, "v1")["state"] == "exists"
    shown = mount / names.project / names.app / "v1/README.md"
    assert shown.stat().st_mtime == 1000, "the first push's times stay"


def test_second_version_sends_what_is_new(agent, names, tmp_path):
    source = trees.small_tree(tmp_path / "source")
    agent.push(source, names.project, names.app, "v1")
    trees.write(source, "added", trees.random_bytes(200_000, "added"))
    pushed = agent.push(source, names.project, names.app, "v2")
    assert pushed["state"] == "created"
    assert 200_000 <= pushed["sent_bytes"] < 220_000


def test_dry_run_changes_nothing(agent, server, names, tmp_path):
    source = trees.small_tree(tmp_path / "source")
    agent.push(source, names.project, names.app, "v1", "--dry-run")
    assert versions(server, names) == []


def test_ignored_and_reserved_paths_are_not_pushed(agent, mount, names, tmp_path):
    source = trees.small_tree(tmp_path / "source")
    for path in (".kkartifact.yml", ".kkartifact/state", ".git/HEAD", "sub/.git/HEAD", "a.o",
                 "sub/b.o", "sub/keep.o", "build/x"):
        trees.write(source, path, b"x: y\n")
    expected = {path: what for path, what in trees.describe(source).items()
                if path not in (b".kkartifact.yml", b"a.o", b"sub/b.o")
                and not path.startswith((b".kkartifact", b"build"))
                and b".git" not in path.split(b"/")}
    agent.push(source, names.project, names.app, "v1", "--ignore", "*.o", "--ignore", "!keep.o",
               "--ignore", "/build/")
    shown = mount / names.project / names.app / "v1"
    assert trees.describe(shown, without=trees.SHOWN) == expected


@pytest.mark.parametrize("links, code", [("keep", 0), ("skip", 0), ("refuse", 9)])
def test_links_policy(links, code, agent, server, names, tmp_path):
    source = trees.small_tree(tmp_path / "source")
    (source / "out").symlink_to("/etc/passwd")
    done = agent.run("push", source, "--project", names.project, "--app", names.app, "--version",
                     "v1", "--links", links).expect(code)
    if links == "refuse":
        assert "link" in done.stderr or "out" in done.stderr
        assert versions(server, names) == []
        return
    agent.pull(tmp_path / "copy", names.project, names.app, "v1")
    assert (tmp_path / "copy/out").is_symlink() == (links == "keep")


def test_a_network_that_fails_is_tried_again(server, names, tmp_path):
    """The connections end in the middle of a push; the agent goes on by itself."""
    source = tmp_path / "source"
    for number in range(8):
        trees.write(source, f"{number}", trees.random_bytes(2 << 20, number))
    with CountingProxy(server.port) as proxy:
        agent = Agent(tmp_path / "agent", proxy.url, server.all_rights)
        proxy.on_up = (6 << 20, proxy.cut)
        assert agent.push(source, names.project, names.app, "v1")["state"] == "created"
        assert proxy.on_up is None, "the network did not fail"
        agent.pull(tmp_path / "copy", names.project, names.app, "v1")
    trees.assert_same(source, tmp_path / "copy")


def test_a_killed_push_goes_on_in_the_middle_of_a_file(server, names, tmp_path):
    """Another process takes up the push that was left open: parts that came are not sent again."""
    source = tmp_path / "source"
    trees.write(source, "large", os.urandom(60 << 20))
    with CountingProxy(server.port) as proxy:
        agent = Agent(tmp_path / "agent", proxy.url, server.all_rights, bandwidth_limit="30MiB",
                      chunk_size="8MiB")
        words = ("push", source, "--project", names.project, "--app", names.app, "--version", "v1")
        process = subprocess.Popen(list(map(str, agent.line(*words))), env=agent.environment,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        until = time.monotonic() + 60
        while proxy.up < 40 << 20:
            assert process.poll() is None and time.monotonic() < until
            time.sleep(0.01)
        process.kill()
        process.wait()
        pushed = agent.push(source, names.project, names.app, "v1")
        assert pushed["state"] == "created" and pushed["sent_bytes"] < 36 << 20
        # Nothing of it is remembered: another push of the same tree is its own.
        assert agent.push(source, names.project, names.app, "v1")["state"] == "exists"
        assert not list(agent.home.rglob("*.push"))
        agent.pull(tmp_path / "copy", names.project, names.app, "v1")
    trees.assert_same(source, tmp_path / "copy")
