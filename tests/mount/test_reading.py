# SPDX-License-Identifier: MIT
"""What is shown is what was pushed: bytes, names, modes, times; read, mapped, run, walked."""

import errno
import mmap
import os
import pathlib
import shutil
import stat
import subprocess

import pytest

from mounts import eventually, forget_pages

NAMES = [b"with space", b"quote'\"", b"a&b#c%d%2F", b"new\nline", b"\xff\xfe not text", b"x" * 255,
         "ümläut".encode(), b"-dash", b"..dots", b"meta.yaml.d"]


@pytest.fixture
def odd_tree(tmp_path):
    top = tmp_path / "odd"
    top.mkdir()
    for name in NAMES:
        folder = os.path.join(os.fsencode(top), name)
        os.mkdir(folder)
        for inner in NAMES:
            pathlib.Path(os.fsdecode(os.path.join(folder, inner))).write_bytes(inner * 3)
    (top / "empty").mkdir()
    (top / "nothing").touch()
    for mode in (0o400, 0o644, 0o755, 0o600, 0o777):
        where = top / f"mode-{mode:o}"
        where.write_text("x")
        where.chmod(mode)
        os.utime(where, (1_000_000_000 + mode, 1_000_000_000 + mode))
    (top / "old").write_text("before 1970")
    os.utime(top / "old", (-5, -5))
    (top / "link").symlink_to("../outside/\u00e9")
    (top / "absolute").symlink_to("/etc/hostname")
    (top / "dangling").symlink_to("nowhere")
    return top


def differences(source, shown):
    done = subprocess.run(["diff", "-r", "--no-dereference", source, shown], capture_output=True,
                          check=False)
    return [line for line in done.stdout.decode(errors="replace").splitlines()
            if not line.endswith((": .kkartifact", ": meta.yaml"))]


def test_odd_names_modes_times_and_links(server, project, agent_push, new_mount, odd_tree):
    agent_push(server, odd_tree, project, "app", "v1")
    mount = new_mount(server.url, server.all_rights)
    shown = mount / project / "app" / "v1"
    assert differences(odd_tree, shown) == []
    for entry in odd_tree.rglob("*"):
        own, other = entry.lstat(), (shown / entry.relative_to(odd_tree)).lstat()
        assert stat.S_IFMT(own.st_mode) == stat.S_IFMT(other.st_mode)
        if stat.S_ISLNK(own.st_mode):
            assert os.readlink(entry) == os.readlink(shown / entry.relative_to(odd_tree))
            continue
        assert stat.S_IMODE(own.st_mode) == stat.S_IMODE(other.st_mode), entry
        assert int(own.st_mtime // 1) == int(other.st_mtime // 1), entry
        if stat.S_ISREG(own.st_mode):
            assert own.st_size == other.st_size
    # A directory has a link for each directory in it.
    for folder in (shown, shown / "empty"):
        inner = sum(child.is_dir() and not child.is_symlink() for child in folder.iterdir())
        if folder != shown:
            assert folder.stat().st_nlink == 2 + inner
    assert sorted(os.listdir(shown))[0] == "..dots" or ".kkartifact" in os.listdir(shown)


def test_manifest(server, project, push, new_mount):
    push(server, f"{project}/app/v1", {"a": b"1", "b/c": b"22"})
    push(server, f"{project}/app/v2", {"meta.yaml": b"our own"})
    mount = new_mount(server.url, server.all_rights)
    one, two = mount / project / "app" / "v1", mount / project / "app" / "v2"
    told = server.request("GET", f"/api/v1/projects/{project}/apps/app/versions/v1/meta.yaml",
                          token=server.all_rights).body
    for where in (one / "meta.yaml", one / ".kkartifact" / "meta.yaml"):
        assert where.read_bytes() == told
        assert where.stat().st_size == len(told)
    assert (two / "meta.yaml").read_bytes() == b"our own"
    assert b'version: "v2"' in (two / ".kkartifact" / "meta.yaml").read_bytes()


def test_mapped_and_run(server, project, push, new_mount):
    source = push(server, f"{project}/app/v1", {"big": os.urandom(3_000_001),
                                                "run": pathlib.Path("/bin/ls").read_bytes()})
    (source / "run").chmod(0o755)
    mount = new_mount(server.url, server.all_rights)
    top = mount / project / "app" / "v1"
    wanted = (source / "big").read_bytes()
    with open(top / "big", "rb") as file, \
            mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped:
        for at in (2_999_000, 0, 1_500_000, 524_287, 524_288):
            assert mapped[at:at + 900] == wanted[at:at + 900]
        assert mapped[:] == wanted
    with open(top / "big", "rb") as file:
        assert os.pread(file.fileno(), 100, 3_000_000) == wanted[-1:]
        assert os.pread(file.fileno(), 100, 3_000_001) == b""
        assert os.pread(file.fileno(), 1 << 22, 1) == wanted[1:]


def test_an_elf_program_runs(server, project, agent_push, new_mount, tmp_path):
    top = tmp_path / "bin"
    top.mkdir()
    shutil.copy("/bin/ls", top / "ls")
    agent_push(server, top, project, "app", "v1")
    mount = new_mount(server.url, server.all_rights)
    shown = mount / project / "app" / "v1"
    done = subprocess.run([shown / "ls", shown], capture_output=True, text=True, check=True)
    assert "meta.yaml" in done.stdout


def test_many_small_files(server, project, agent_push, new_mount, tmp_path):
    top = tmp_path / "many"
    for folder in range(20):
        (top / f"d{folder}").mkdir(parents=True)
        for file in range(100):
            (top / f"d{folder}" / f"f{file}").write_text(f"{folder}/{file}")
    agent_push(server, top, project, "app", "v1")
    mount = new_mount(server.url, server.all_rights)
    shown = mount / project / "app" / "v1"
    assert differences(top, shown) == []
    before = mount.status()["requests"]
    forget_pages()
    assert differences(top, shown) == []
    # From the cache: but for the lists above, nothing is asked for again.
    assert mount.status()["requests"] - before < 20


def test_nothing_is_asked_twice(server, project, push, new_mount):
    """Names, attributes and bytes of a version stay with the kernel."""
    push(server, f"{project}/app/v1", {f"d/{i}": b"%d" % i for i in range(50)})
    mount = new_mount(server.url, server.all_rights)
    top = mount / project / "app" / "v1"
    for _ in range(3):
        assert sorted(os.listdir(top / "d")) == sorted(map(str, range(50)))
        for i in range(50):
            assert (top / "d" / str(i)).read_bytes() == b"%d" % i
    assert mount.status()["cache"]["damaged"] == 0


def test_uid_gid_umask(server, project, push, new_mount):
    push(server, f"{project}/app/v1", {"file": b"x"})
    mount = new_mount(server.url, server.all_rights, uid="1234", gid="4321", umask="027")
    for where, mode in ((mount / project, 0o750), (mount / project / "app" / "v1", 0o750),
                        (mount / project / "app" / "v1" / "file", 0o640)):
        shown = where.stat()
        assert (shown.st_uid, shown.st_gid) == (1234, 4321)
        assert stat.S_IMODE(shown.st_mode) == mode


def test_xattrs(server, project, push, new_mount):
    import hashlib
    push(server, f"{project}/app/v1", {"file": b"hello", "other": b"x" * 10})
    mount = new_mount(server.url, server.all_rights, xattr="on")
    top = mount / project / "app" / "v1"
    digest = hashlib.sha256(b"hello").hexdigest().encode()
    assert os.getxattr(top / "file", "user.kkartifact.sha256") == digest
    assert os.getxattr(top / "file", "user.kkartifact.verity") == \
        b"555b589c26ee43b7a2510e6c67ced9fb3190b6da6e9e683984551f5d77a763de"
    assert os.getxattr(top / "file", "user.kkartifact.cached") == b"0"
    assert (top / "file").read_bytes() == b"hello"
    eventually(lambda: os.getxattr(top / "file", "user.kkartifact.cached") == b"5")
    assert os.getxattr(top, "user.kkartifact.version") == b"v1"
    assert os.getxattr(top, "user.kkartifact.state") == b"partial"
    assert (top / "other").read_bytes()
    assert (top / "meta.yaml").read_bytes()
    eventually(lambda: os.getxattr(top, "user.kkartifact.state") == b"complete")
    assert set(os.listxattr(top / "file")) == {f"user.kkartifact.{name}"
                                               for name in ("sha256", "verity", "cached")}
    assert os.listxattr(top / "meta.yaml") == []
    with pytest.raises(OSError) as raised:
        os.getxattr(top / "file", "user.kkartifact.content")
    assert raised.value.errno == errno.ENODATA


def test_without_xattr_there_are_none(server, project, push, new_mount):
    push(server, f"{project}/app/v1", {"file": b"hello"})
    mount = new_mount(server.url, server.all_rights)
    with pytest.raises(OSError) as raised:
        os.getxattr(mount / project / "app" / "v1" / "file", "user.kkartifact.sha256")
    assert raised.value.errno == errno.ENOTSUP
