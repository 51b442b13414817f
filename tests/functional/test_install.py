# SPDX-License-Identifier: MIT
"""`make install`: the layout, and that what was installed works from where it lies."""

import os
import shutil
import subprocess

import pytest

import trees
from agent import clean_environment, run
from server import ROOT, READY

pytestmark = [pytest.mark.serial, pytest.mark.plain_only]

PROGRAMS = ("kkartifact-server", "kkartifact-agent", "kkartifact-fs")
PLACES = [*(f"bin/{name}" for name in PROGRAMS), "sbin/mount.kkartifact",
          "share/man/man1/kkartifact-agent.1", "share/man/man8/kkartifact-server.8",
          "share/man/man8/kkartifact-fs.8", "share/man/man8/mount.kkartifact.8",
          *(f"share/bash-completion/completions/{name}" for name in PROGRAMS),
          *(f"share/zsh/site-functions/_{name}" for name in PROGRAMS),
          *(f"share/fish/vendor_completions.d/{name}.fish" for name in PROGRAMS),
          "lib/systemd/system/kkartifact-server.service",
          "share/kkartifact/api/openapi.yaml"]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """DESTDIR of an installation with the default prefix, moved elsewhere afterwards."""
    destination = tmp_path_factory.mktemp("install") / "destination"
    environment = clean_environment(os.environ.get("HOME", "/root"))
    run(["make", "install", f"DESTDIR={destination}"], cwd=ROOT, env=environment,
        within=280).expect(0)
    moved = destination.with_name("moved")
    destination.rename(moved)
    yield moved
    shutil.rmtree(moved)


def test_layout(installed):
    prefix = installed / "usr/local"
    missing = [place for place in PLACES
               if not (prefix / place).exists() and not (prefix / f"{place}.gz").exists()]
    assert not missing
    assert os.listdir(installed) == ["usr"] and os.listdir(installed / "usr") == ["local"]
    assert list((prefix / "share/kkartifact/sql").rglob("*.sql"))
    for name in PROGRAMS:
        mode = (prefix / "bin" / name).stat().st_mode & 0o777
        assert mode == 0o755, name
    stray = [path for path in prefix.rglob("*fuse*") if "kkartifact" not in path.name]
    assert not stray, "what is not ours was installed"


def test_mount_finds_the_helper(tmp_path):
    """The link that `make install` makes in /sbin when PREFIX is not /usr."""
    sbin, link = tmp_path / "sbin", tmp_path / "sbin/mount.kkartifact"

    def make(prefix):
        return run([ROOT / "tools/link-helper", prefix, sbin]).expect(0).stdout
    assert f"ln -s /opt/k/sbin/mount.kkartifact {link}" in make("/opt/k"), "nowhere to put it"
    sbin.mkdir()
    assert f"made {link} -> /opt/k/sbin/mount.kkartifact" in make("/opt/k")
    assert os.readlink(link) == "/opt/k/sbin/mount.kkartifact"
    assert f"{link} is there already" in make("/opt/other")
    assert os.readlink(link) == "/opt/k/sbin/mount.kkartifact"
    trees.write(tmp_path, "prefix/sbin/mount.kkartifact", b"")
    link.unlink()
    assert "made" in make(tmp_path / "prefix")
    assert make(tmp_path / "prefix") == "", "nothing to do"
    assert link.samefile(tmp_path / "prefix/sbin/mount.kkartifact")


def test_nothing_names_where_it_was_made(installed):
    """No unit, page or completion holds the place of the source or of DESTDIR."""
    for path in installed.rglob("*"):
        if path.is_file() and path.parent.name not in ("bin", "sbin"):
            text = path.read_bytes()
            assert str(ROOT).encode() not in text, path
            assert str(installed.parent).encode() not in text, path


def test_installed_programs_work(installed, keeper, tmp_path):
    """Server, push, mount by mount(8)'s helper, pull: with the installed programs alone."""
    bin_, sbin = installed / "usr/local/bin", installed / "usr/local/sbin"
    environment = clean_environment(tmp_path, PATH=f"{sbin}:{bin_}:/usr/sbin:/usr/bin:/sbin:/bin")
    token = run(["kkartifact-server", "token", "create", "--data", tmp_path / "data", "--name", "t",
                 "--allow", "push,pull"], env=environment).expect(0).stdout.strip()
    (tmp_path / "token").touch(0o600)
    (tmp_path / "token").write_text(token + "\n")
    source = trees.small_tree(tmp_path / "source")
    with subprocess.Popen(["kkartifact-server", "serve", "--data", tmp_path / "data", "--listen",
                           "127.0.0.1:0"], env=environment, stderr=subprocess.PIPE,
                          text=True) as server:
        keeper.process(server.pid)
        mount = tmp_path / "mnt"
        mount.mkdir()
        try:
            found = next(filter(None, map(READY.search, server.stderr)))
            url = f"http://{found[2]}:{found[3]}"
            environment.update(KKARTIFACT_SERVER=url, KKARTIFACT_TOKEN_FILE=str(tmp_path / "token"))
            run(["kkartifact-agent", "init", source], env=environment).expect(0)
            run(["kkartifact-agent", "push", source, "--project", "p", "--app", "a", "--version",
                 "v"], env=environment).expect(0)
            keeper.mount(mount)
            run(["mount.kkartifact", url, mount, "-o",
                 f"ro,_netdev,token_file={tmp_path}/token,cache={tmp_path}/cache"],
                env=environment).expect(0)
            trees.assert_same(source, mount / "p/a/v", source_without=(b".kkartifact.yml",))
            run(["kkartifact-fs", "umount", mount], env=environment).expect(0)
            keeper.unmounted(mount)
        finally:
            server.terminate()
            server.wait(60)


def test_mount_by_fstab_s_way(installed, server, keeper, tmp_path):
    """`mount -t kkartifact`, as an entry of fstab is done: mount(8) finds the helper in sbin."""
    helper = tmp_path / "sbin" / "mount.kkartifact"
    mount = tmp_path / "mnt"
    mount.mkdir()
    helper.parent.mkdir()
    # A link as an administrator makes it, when the prefix is not /usr.
    helper.symlink_to(installed / "usr/local/sbin/mount.kkartifact")
    (tmp_path / "token").touch(0o600)
    (tmp_path / "token").write_text(server.all_rights + "\n")
    # mount(8) looks in /sbin only: in a mount namespace of its own it finds ours there.
    script = (f"mount --make-rprivate / && mkdir -p {tmp_path}/over {tmp_path}/work && "
              f"mount -t overlay overlay -o lowerdir={helper.parent}:/usr/sbin /usr/sbin && "
              f"mount -t kkartifact {server.url} {mount} -o "
              f"token_file={tmp_path}/token,cache={tmp_path}/cache,ro,nofail && "
              f"findmnt -n -o FSTYPE,OPTIONS {mount} && ls {mount} && umount {mount}")
    path = f"{installed}/usr/local/bin:{os.environ['PATH']}"
    done = run(["unshare", "--mount", "sh", "-ec", script],
               env=clean_environment(tmp_path, PATH=path))
    assert done.code == 0, done
    assert "fuse" in done.stdout and "ro" in done.stdout


def test_prefix_must_be_absolute(tmp_path):
    done = run(["make", "install", f"DESTDIR={tmp_path}", "PREFIX=relative"], cwd=ROOT,
               env=clean_environment(os.environ.get("HOME", "/root")))
    assert done.code != 0 and "PREFIX" in done.stderr
