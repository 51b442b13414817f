# SPDX-License-Identifier: MIT
"""Push, pull and verify against an origin that fails and lies on request."""

import json
import os
import signal
import subprocess
import time

import pytest

from support import describe, write


@pytest.fixture
def source(tmp_path):
    root = tmp_path / "source"
    write(root, "README.md", b"read me\n", mtime=1000)
    write(root, "bin/tool", b"#!/bin/sh\n", 0o755, mtime=-5)
    write(root, "empty", b"")
    write(root, "big", os.urandom(3 << 20))
    write(root, "twice/1", b"the same bytes")
    write(root, "twice/2", b"the same bytes", 0o600)
    write(root, os.fsdecode(b"odd/\xff\n &#%20'\""), b"odd")
    (root / "bare").mkdir()
    (root / "link").symlink_to("../nowhere")
    os.chmod(root / "bare", 0o700)
    os.utime(root / "bare", (4242, 4242))
    return root


def test_there_and_back(agent, origin, source, tmp_path):
    pushed = agent.push(source, "v1")
    assert (pushed["state"], pushed["files"]) == ("created", 7)
    pulled = agent.pull(tmp_path / "copy", "v1")
    assert (pulled["state"], pulled["written_files"], pulled["content"]) == ("updated", 8,
                                                                             pushed["content"])
    assert describe(source) == describe(tmp_path / "copy")
    agent.run("verify", tmp_path / "copy")
    again = agent.pull(tmp_path / "copy", "v1")
    assert (again["state"], again["written_files"], again["deleted_files"]) == ("current", 0, 0)
    second = agent.push(source, "v1")
    assert second["state"] == "exists" and second["sent_bytes"] < 2000
    version = next(iter(origin.state.versions.values()))[0]
    assert version["builder"] and version["build_time"]


def test_updates_change_what_differs_and_nothing_else(agent, source, tmp_path):
    copy = tmp_path / "copy"
    agent.push(source, "v1")
    agent.pull(copy, "v1")
    write(copy, "mine", b"not yours")
    write(copy, "bare/mine", b"nor this")
    big = (source / "big").read_bytes()
    write(source, "README.md", b"other\n")
    (source / "big").rename(source / "moved")
    (source / "link").unlink()
    write(source, "link/file", b"x")
    subprocess.run(["rm", "-r", source / "twice"], check=True)
    write(source, "twice", b"a file now")
    (source / "bare").rmdir()
    agent.push(source, "v2")
    pulled = agent.pull(copy, "v2")
    assert pulled["written_files"] == 4
    assert pulled["deleted_files"] == 4  # big, link, twice/1, twice/2
    assert pulled["received_bytes"] < 100_000, "the moved file is copied"
    assert (copy / "moved").read_bytes() == big
    assert (copy / "mine").read_bytes() == b"not yours"
    assert (copy / "bare/mine").read_bytes() == b"nor this"
    expected = describe(source)
    found = describe(copy, without=(".kkartifact", "mine", "bare"))
    assert found == expected
    agent.pull(copy, "v1")
    agent.run("verify", copy)


def test_what_is_in_the_way_is_refused_before_anything_is_written(agent, source, tmp_path):
    copy = tmp_path / "copy"
    agent.push(source, "v1")
    cases = [("README.md", lambda at: at.write_bytes(b"mine")),
             ("bin", lambda at: at.write_bytes(b"mine")),
             ("big", lambda at: at.mkdir()),
             ("link", lambda at: at.symlink_to("/etc")),
             ("bin", lambda at: at.symlink_to("/tmp")),
             ("empty", lambda at: os.mkfifo(at))]
    for number, (name, make) in enumerate(cases):
        dest = tmp_path / f"copy{number}"
        dest.mkdir()
        make(dest / name)
        done = agent.run("pull", dest, "--version", "v1", code=9)
        assert name in done.words
        assert os.listdir(dest) == [name]
    copy.mkdir()
    write(copy, "README.md", b"read me\n", 0o600)  # equal bytes are no obstacle
    agent.pull(copy, "v1")
    assert describe(source) == describe(copy)


def test_ignored_paths_of_the_destination_stay(agent, source, tmp_path):
    copy = tmp_path / "copy"
    agent.push(source, "v1")
    copy.mkdir()
    write(copy, "README.md", b"mine")
    agent.pull(copy, "v1", "--ignore", "README.md")
    assert (copy / "README.md").read_bytes() == b"mine"
    agent.run("verify", copy, "--ignore", "README.md")
    done = agent.run("verify", copy, code=20)
    assert done.stdout == b"content\tREADME.md\n"


def test_verify_tells_each_difference(agent, source, tmp_path):
    copy = tmp_path / "copy"
    agent.push(source, "v1")
    agent.run("verify", source, code=5)
    agent.pull(copy, "v1")
    os.chmod(copy / "README.md", 0o600)
    (copy / "empty").unlink()
    (copy / "twice/1").write_bytes(b"THE SAME BYTES")
    (copy / "link").unlink()
    (copy / "link").symlink_to("elsewhere")
    (copy / "bare").rmdir()
    (copy / "bare").write_bytes(b"")
    found = json.loads(agent.run("verify", copy, "--json", code=20).stdout)
    assert found["state"] == "different"
    assert {item["path"]: item["difference"] for item in found["differences"]} == {
        "README.md": "mode", "empty": "missing", "twice/1": "content", "link": "content",
        "bare": "kind"}
    (copy / ".kkartifact/tree").write_bytes(b"x")
    agent.run("verify", copy, code=8)


@pytest.mark.parametrize("lie", ["flip", "short", "long", "html", "tree"])
def test_wrong_bytes_never_arrive(agent, origin, source, tmp_path, lie):
    agent.push(source, "v1")

    def spoil(name, data):
        if (name == "tree") != (lie == "tree"):
            return data
        if lie in ("flip", "tree"):
            return data[:5000 % len(data)] + b"\x7e" + data[5000 % len(data) + 1:] if data else data
        return {"short": data[:-1], "long": data + b"x", "html": b"<html>"}[lie]

    origin.state.spoil = spoil
    agent.run("pull", tmp_path / "copy", "--version", "v1", code=8)
    if lie == "tree":  # nothing of it was fit to be kept
        assert not (tmp_path / "copy").exists()
    else:
        assert os.listdir(tmp_path / "copy") == [".kkartifact"]
    origin.state.spoil = lambda name, data: data
    agent.pull(tmp_path / "copy", "v1")
    assert describe(source) == describe(tmp_path / "copy")


def test_a_name_with_other_content_than_before(agent, origin, source, tmp_path):
    agent.push(source, "v1")
    agent.pull(tmp_path / "copy", "v1")
    write(source, "more", b"more")
    origin.state.versions.clear()
    agent.push(source, "v1")
    agent.run("pull", tmp_path / "copy", "--version", "v1", code=8)
    assert not (tmp_path / "copy/more").exists()


def test_failures_on_the_way_are_tried_again(agent, origin, source, tmp_path):
    failed = {}

    def fail(request):
        count = failed[request] = failed.get(request, 0) + 1
        if count > 1 or "pushes" in request and request.startswith("POST"):
            return None
        return "cut" if len(failed) % 2 else 503

    origin.state.fail = fail
    agent.push(source, "v1")
    agent.pull(tmp_path / "copy", "v1")
    assert describe(source) == describe(tmp_path / "copy")


@pytest.mark.parametrize("status, code", [(401, 4), (403, 4), (404, 5), (500, 7), (503, 7),
                                          (507, 7)])
def test_exit_codes_of_answers(agent, origin, source, tmp_path, status, code):
    origin.state.fail = lambda request: status
    agent.config.write_text(agent.config.read_text() + "retries: 0\n")
    agent.run("push", source, code=code)
    agent.run("pull", tmp_path / "copy", code=code)
    agent.run("list", code=code)
    agent.run("show", "p/a/v", code=code)


def test_conflict_names_what_is_there(agent, source):
    first = agent.push(source, "v1")
    write(source, "more", b"x")
    done = agent.run("push", source, "--version", "v1", code=6)
    assert "v1" in done.words and first["content"][:12] in done.words


def test_no_server(agent, source):
    done = agent.run("push", source, "--server", "http://127.0.0.1:1", "--timeout", "2s", code=7)
    assert "127.0.0.1" in done.words


def test_plain_http_elsewhere_needs_a_word(agent, source):
    done = agent.run("push", source, "--server", "http://example.invalid", code=3)
    assert "insecure" in done.words or "HTTP" in done.words


def test_a_file_that_changes_is_pushed_again(agent, origin, source, tmp_path):
    state = origin.state

    def after(request):
        if request.startswith("PATCH") and not state.__dict__.get("done"):
            state.done = True
            write(source, "README.md", b"changed on the way\n")
            write(source, "late", b"late")

    state.after = after
    agent.push(source, "v1")
    agent.pull(tmp_path / "copy", "v1")
    assert describe(source) == describe(tmp_path / "copy")
    assert len(state.pushes) == 1, "the push that was given up is deleted"


def test_a_tree_that_never_rests_is_refused_by_name(agent, origin, source):
    numbers = iter(range(10_000))

    def after(request):
        if "/blobs" in request:
            number = next(numbers)
            write(source, f"sub/{number}", b"%d" % number)

    write(source, "sub/x", b"x")
    origin.state.after = after
    done = agent.run("push", source, "--version", "v1", code=9)
    assert "sub" in done.words
    assert not origin.state.versions


def test_interrupted_push_ends_with_130(agent, origin, source):
    origin.state.after = lambda request: time.sleep(0.3)
    process = subprocess.Popen(agent.line("push", source, "--concurrency", "1"),
                               env=agent.environment, stderr=subprocess.PIPE,
                               stdout=subprocess.PIPE)
    while not origin.state.requests:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    output, words = process.communicate(timeout=60)
    assert (process.returncode, output) == (130, b""), words


@pytest.mark.parametrize("when", [1, 3, 6])
def test_killed_pull_is_completed_by_the_next(agent, origin, source, tmp_path, when):
    copy = tmp_path / "copy"
    agent.push(source, "v1")
    agent.pull(copy, "v1")
    for number in range(5):
        write(source, f"new/{number}", os.urandom(1 << 18))
    (source / "README.md").unlink()
    agent.push(source, "v2")
    before = describe(copy)
    seen = []
    origin.state.requests.clear()
    process = []

    def after(request):
        seen.append(request)
        if len(seen) == when:
            process[0].kill()

    line = agent.line("pull", copy, "--version", "v2", "--concurrency", "1")
    process.append(subprocess.Popen(line, env=agent.environment, stderr=subprocess.DEVNULL,
                                    stdout=subprocess.DEVNULL))
    origin.state.after = after
    process[0].wait(60)
    for path, what in describe(copy).items():
        if what[0] == "file":
            expected = os.path.join(os.fsencode(source), path)
            old = before.get(path)
            assert old is not None and what == old or open(expected, "rb").read() == what[3]
    origin.state.after = lambda request: None
    agent.pull(copy, "v2")
    assert describe(source) == describe(copy)
    assert "stage" not in os.listdir(copy / ".kkartifact")


def test_two_pulls_exclude_each_other(agent, origin, source, tmp_path):
    import fcntl
    agent.push(source, "v1")
    agent.pull(tmp_path / "copy", "v1")
    with open(tmp_path / "copy/.kkartifact/lock", "r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        agent.run("pull", tmp_path / "copy", "--version", "v1", code=9)
    agent.run("pull", tmp_path / "copy", "--version", "v1")


def test_half_applied_version_counts_as_ours(agent, source, tmp_path):
    """What a pull that died had put in place is removed by a pull of another version."""
    copy = tmp_path / "copy"
    agent.push(source, "v1")
    write(source, "only-in-2", b"2")
    agent.push(source, "v2")
    agent.pull(tmp_path / "other", "v2")
    agent.pull(copy, "v1")
    tree = (tmp_path / "other/.kkartifact/tree").read_bytes()
    (copy / ".kkartifact" / ("pending-" + "0" * 64)).write_bytes(tree)
    write(copy, "only-in-2", b"2")
    pulled = agent.pull(copy, "v1")
    assert (pulled["state"], pulled["deleted_files"]) == ("updated", 1)
    assert not (copy / "only-in-2").exists()
    assert not [name for name in os.listdir(copy / ".kkartifact") if name.startswith("pending")]


def test_list_and_show(agent, source):
    pushed = agent.push(source, "v1", "--label", "team=x", "--git-commit", "abc")
    assert agent.run("list").stdout == b"p\n"
    assert agent.run("list", "p").stdout == b"a\n"
    assert agent.run("list", "p/a").stdout == b"v1\n"
    assert agent.json("list", "p/a")["items"][0]["content"] == pushed["content"]
    shown = agent.json("show", "p/a/v1")
    assert shown["labels"] == {"team": "x"} and shown["git_commit"] == "abc"
    assert b'version: "v1"' in agent.run("show", "p/a/latest").stdout
    agent.run("show", "p/a/none", code=5)
    agent.run("show", "p", code=2)
    agent.run("list", "p/a/v", code=2)


def test_links_ignore_and_modes(agent, origin, source, tmp_path):
    (source / ".git").mkdir()
    write(source, ".git/HEAD", b"x")
    write(source, "sub/.git/HEAD", b"x")
    write(source, ".kkartifact/x", b"x")
    write(source, "a.log", b"x")
    agent.push(source, "v1", "--ignore", "*.log", "--links", "skip")
    agent.pull(tmp_path / "copy", "v1")
    names = set(describe(tmp_path / "copy"))
    assert not names & {b"a.log", b".git", b"sub/.git", b"link"}
    agent.push(source, "v2", "--ignore", "!.git")
    agent.pull(tmp_path / "copy2", "v2")
    assert (tmp_path / "copy2/sub/.git/HEAD").exists()
    assert not (tmp_path / "copy2/.kkartifact/x").exists()
    done = agent.run("push", source, "--links", "refuse", code=9)
    assert "link" in done.words
    os.mkfifo(source / "pipe")
    assert "pipe" in agent.run("push", source, code=9).words


def test_dry_runs(agent, origin, source, tmp_path):
    write(source, "big-again", (source / "big").read_bytes())
    told = agent.push(source, "v1", "--dry-run")
    assert (told["state"], told["sent_bytes"]) == ("dry-run", 0)
    done = agent.run("push", source, "--version", "v1", "--dry-run")
    assert done.stdout == b"p/a/v1\n" and "MiB at most" in done.words
    assert {request.split()[0] for request in origin.state.requests} == {"GET"}
    sent = agent.push(source, "v1")["sent_bytes"]
    # The requests around it say a little more.
    assert told["would_send_bytes"] <= sent < told["would_send_bytes"] + 2000
    assert "would_send_bytes" not in agent.push(source, "v2")
    assert agent.push(source, "v3", "--dry-run")["would_send_bytes"] < 2000
    told = agent.pull(tmp_path / "copy", "v1", "--dry-run")
    assert (told["state"], told["written_files"]) == ("dry-run", 9)
    assert not (tmp_path / "copy").exists()


def test_the_scan_cache_is_not_believed_for_young_files(agent, source, tmp_path):
    """Same size and times within the clock's grain: the bytes count."""
    write(source, "f", b"1")
    first = agent.push(source, "v1")
    write(source, "f", b"2")
    second = agent.push(source, "v2")
    assert first["content"] != second["content"]
    full = agent.push(source, "v2", "--full-check")
    assert full["content"] == second["content"] and full["state"] == "exists"


def test_damaged_file_is_made_good_by_a_full_check(agent, source, tmp_path):
    copy = tmp_path / "copy"
    agent.push(source, "v1")
    agent.pull(copy, "v1")
    status = os.stat(copy / "big")
    with open(copy / "big", "r+b") as file:
        file.write(b"damage")
    os.utime(copy / "big", ns=(status.st_atime_ns, status.st_mtime_ns))
    assert agent.pull(copy, "v1", "--full-check")["written_files"] == 1
    assert describe(source) == describe(copy)
