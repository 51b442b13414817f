# SPDX-License-Identifier: MIT
"""Real input, from one end to the other: pushed, mounted, pulled, compared, and run."""

import glob
import mmap
import os
import random
import shutil
import subprocess

import pytest

import trees
from agent import run
from npm_tree import npm_tree

ONLY_SHOWN = (".kkartifact", "meta.yaml")
SYSTEM_PYTHON = "/usr/bin/python3"


def shown_extra(where):
    """What `diff -r` may say of a mount: the manifest, nothing else."""
    return sorted(f"Only in {where}: {name}" for name in ONLY_SHOWN)


def round_trip(source, agent, mount, names, tmp_path, version="v1"):
    """Pushes a tree and compares it with the mount and with a pull; the version's directory."""
    pushed = agent.push(source, names.project, names.app, version)
    assert pushed["state"] == "created"
    shown = mount / names.project / names.app / version
    trees.assert_same(source, shown)
    assert trees.diff(source, shown) == shown_extra(shown)
    copy = tmp_path / "pulled"
    pulled = agent.pull(copy, names.project, names.app, version)
    assert pulled["content"] == pushed["content"]
    assert pulled["state"] == "updated"
    trees.assert_same(source, copy)
    assert trees.diff(source, copy) == [f"Only in {copy}: .kkartifact"]
    return shown


def test_small_tree(agent, mount, names, tmp_path):
    source = trees.small_tree(tmp_path / "source")
    shown = round_trip(source, agent, mount, names, tmp_path)
    assert subprocess.run([shown / "bin/tool"], capture_output=True, check=True).stdout == b"tool\n"


@pytest.mark.parametrize("source", sorted(glob.glob("/usr/lib/python3*")))
def test_python_library(source, agent, mount, names, tmp_path):
    """The library of the system's Python as it lies there, with the links that leave it."""
    shown = round_trip(source, agent, mount, names, tmp_path)
    links = [path for path, what in trees.describe(source).items() if what[0] == "l"]
    for path in links:
        assert os.readlink(os.path.join(os.fsencode(shown), path)) == os.readlink(
            os.path.join(os.fsencode(source), path))


def test_python_runs_with_its_library_in_the_mount(agent, mount, names, tmp_path):
    version = run([SYSTEM_PYTHON, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
                  ).expect(0).stdout.strip()
    library = f"/usr/lib/python{version}"
    agent.push(library, names.project, names.app, "v1")
    home = tmp_path / "home"
    (home / "lib").mkdir(parents=True)
    (home / "lib" / f"python{version}").symlink_to(mount / names.project / names.app / "v1")
    code = ("import sys, os, json, sqlite3, asyncio, email.message, decimal, unittest\n"
            "assert not [p for p in sys.path if p.startswith('/usr/')], sys.path\n"
            "maps = open('/proc/self/maps').read()\n"
            "print(json.dumps([os.path.realpath(os.__file__), maps]))\n")
    done = run([SYSTEM_PYTHON, "-S", "-B", "-c", code],
               env={"PYTHONHOME": str(home), "PATH": "/usr/bin:/bin"}).expect(0)
    place, maps = done.json()
    inside = str(mount / names.project / names.app / "v1")
    assert place.startswith(inside)
    assert f"{inside}/lib-dynload/" in maps, "no extension module was mapped from the mount"


def test_elf_program_and_library(agent, mount, names, tmp_path):
    source = tmp_path / "source"
    (source / "bin").mkdir(parents=True)
    (source / "lib").mkdir()
    shutil.copy2("/bin/ls", source / "bin/ls")
    known = run(["ldconfig", "-p"]).expect(0).stdout.splitlines()
    library = next(line.split(" => ")[1] for line in known if line.endswith("/libz.so.1"))
    shutil.copy2(os.path.realpath(library), source / "lib/libz.so.1")
    shown = round_trip(source, agent, mount, names, tmp_path)
    listed = run([shown / "bin/ls", "-1", source]).expect(0)
    assert listed.stdout == "bin\nlib\n"
    code = ("import ctypes, sys\n"
            "z = ctypes.CDLL(sys.argv[1]); z.zlibVersion.restype = ctypes.c_char_p\n"
            "assert z.zlibVersion().startswith(b'1.')\n"
            "assert sys.argv[1] in open('/proc/self/maps').read()\n")
    run([SYSTEM_PYTHON, "-c", code, shown / "lib/libz.so.1"]).expect(0)


def test_mapped_file(agent, mount, names, tmp_path):
    """Pages in any order through a mapping are the file's."""
    data = trees.random_bytes((5 << 20) + 123)
    trees.write(tmp_path / "source", "data", data)
    agent.push(tmp_path / "source", names.project, names.app, "v1")
    with open(mount / names.project / names.app / "v1/data", "rb") as file, \
            mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped:
        pages = list(range(0, len(data), mmap.PAGESIZE))
        random.Random(1).shuffle(pages)
        for page in pages:
            assert mapped[page:page + mmap.PAGESIZE] == data[page:page + mmap.PAGESIZE]


def test_node_modules(agent, mount, names, tmp_path):
    source = npm_tree()
    shown = round_trip(source, agent, mount, names, tmp_path)
    node = shutil.which("node")
    done = run([node, "-e", "console.log(require('express').application.use.name)"],
               cwd=shown).expect(0)
    assert done.stdout.strip() == "use"
    link = shown / "node_modules/.bin/semver"
    assert link.is_symlink()
    assert run([node, link, "1.2.3"], cwd=shown).expect(0).stdout == "1.2.3\n"


@pytest.mark.serial
def test_twenty_thousand_small_files(agent, mount, names, tmp_path):
    source = tmp_path / "source"
    for directory in range(200):
        folder = source / f"d{directory % 20}" / f"{directory:03}"
        folder.mkdir(parents=True)
        for number in range(100):
            (folder / f"file-{number:03}").write_bytes(b"%d/%d\n" % (directory, number) * 20)
    shown = round_trip(source, agent, mount, names, tmp_path)
    assert sum(len(files) for _, _, files in os.walk(shown / "d0")) == 1000


def test_odd_names(agent, mount, names, tmp_path):
    source = os.fsencode(tmp_path / "source")
    for number, name in enumerate(trees.odd_names()):
        trees.write(source, name, b"file %d\n" % number)
        trees.write(source, os.path.join(b"dirs", name, name), b"below %d\n" % number)
    links = os.path.join(source, b"links")
    os.mkdir(links)
    for name in trees.odd_names():
        os.symlink(name, os.path.join(links, name))
    round_trip(os.fsdecode(source), agent, mount, names, tmp_path)


def test_odd_names_by_get(agent, server, names, tmp_path):
    """The same names through URLs that are percent-encoded byte by byte."""
    source = os.fsencode(tmp_path / "source")
    for number, name in enumerate(trees.odd_names()):
        trees.write(source, os.path.join(name, name), b"file %d\n" % number)
    agent.push(os.fsdecode(source), names.project, names.app, "v1")
    base = f"/api/v1/projects/{names.project}/apps/{names.app}/versions/v1/files/"
    for number, name in enumerate(trees.odd_names()):
        encoded = "".join(f"%{byte:02X}" for byte in name)
        answer = server.request("GET", f"{base}{encoded}/{encoded}", token=server.all_rights)
        assert (answer.status, answer.body) == (200, b"file %d\n" % number), name


def test_deep_path(agent, mount, names, tmp_path):
    """A path of the greatest depth, 255, and one near the greatest length, 4096 bytes."""
    source = tmp_path / "source"
    source.mkdir()
    here = os.getcwd()
    try:
        for parts in (["d"] * 254, ["n" * 250] * 16):
            os.chdir(source)
            for part in parts:
                os.makedirs(part, exist_ok=True)
                os.chdir(part)
            with open("leaf", "wb") as file:
                file.write(b"deep\n")
    finally:
        os.chdir(here)
    assert agent.push(source, names.project, names.app, "v1")["files"] == 2
    shown = mount / names.project / names.app / "v1"
    found = run(["find", ".", "-name", "leaf", "-type", "f"], cwd=shown).expect(0)
    assert sorted(map(len, found.stdout.split())) == [2 + 254 * 2 + 4, 2 + 16 * 251 + 4]
    copy = tmp_path / "pulled"
    agent.pull(copy, names.project, names.app, "v1")
    assert trees.diff(source, copy) == [f"Only in {copy}: .kkartifact"]


def test_modes_and_times(agent, mount, names, tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    for mode in (0o400, 0o444, 0o600, 0o640, 0o644, 0o666, 0o700, 0o711, 0o755, 0o777, 0o000):
        trees.write(source, f"files/{mode:04o}", b"%o\n" % mode, mode)
        (source / f"dirs/{mode | 0o500:04o}").mkdir(parents=True, exist_ok=True)
        (source / f"dirs/{mode | 0o500:04o}").chmod(mode | 0o500)
    for mtime in (0, 1, -1, 1_000_000_000, 2**31, 2**32 + 5, 1_700_000_000):
        trees.write(source, f"times/{mtime}", b"t", mtime=mtime)
    fraction = trees.write(source, "times/fraction", b"t")
    os.utime(fraction, ns=(10**18 + 999_999_999, 10**18 + 999_999_999))
    before = trees.write(source, "times/before-1970", b"t")
    os.utime(before, ns=(-1_500_000_000, -1_500_000_000))  # rounded down: -2 s
    (source / "empty-directory").mkdir()
    os.utime(source / "empty-directory", (12345, 12345))
    round_trip(source, agent, mount, names, tmp_path)


def test_special_bits_are_dropped(agent, mount, names, tmp_path):
    source = tmp_path / "source"
    trees.write(source, "setuid", b"x", 0o4755)
    (source / "sticky").mkdir()
    (source / "sticky").chmod(0o1777)
    done = agent.run("push", source, "--project", names.project, "--app", names.app, "--version",
                     "v1").expect(0)
    assert done.stdout == f"{names.project}/{names.app}/v1\n"
    assert "not kept: setuid becomes 0755, sticky/ becomes 0777\n" in done.stderr
    shown = mount / names.project / names.app / "v1"
    assert (shown / "setuid").stat().st_mode & 0o7777 == 0o755
    assert (shown / "sticky").stat().st_mode & 0o7777 == 0o777


def test_empty_tree(agent, mount, names, tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    shown = round_trip(source, agent, mount, names, tmp_path)
    assert (shown / "meta.yaml").read_bytes() == (shown / ".kkartifact/meta.yaml").read_bytes()


def test_links_of_every_kind(agent, mount, names, tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    targets = ("/etc/passwd", "../../../../etc/passwd", "dangling", ".", "..", "/", "self",
               "a/" * 2000 + "a", "with space", "line\nbreak")
    for number, target in enumerate(targets):
        os.symlink(target, source / str(number))
    os.symlink(b"\xff\xfe", source / "bytes")
    os.symlink("self", source / "self")
    round_trip(source, agent, mount, names, tmp_path)


def test_tree_with_a_meta_yaml_of_its_own(agent, mount, names, tmp_path):
    source = tmp_path / "source"
    trees.write(source, "meta.yaml", b"mine\n")
    agent.push(source, names.project, names.app, "v1")
    shown = mount / names.project / names.app / "v1"
    assert (shown / "meta.yaml").read_bytes() == b"mine\n"
    assert (shown / ".kkartifact/meta.yaml").read_bytes().startswith(b"format: 1\n")
    trees.assert_same(source, shown, without=(b".kkartifact",))


def test_manifest_is_the_one_of_the_api(agent, server, mount, names, tmp_path):
    source = trees.small_tree(tmp_path / "source")
    agent.push(source, names.project, names.app, "v1")
    answer = server.request(
        "GET", f"/api/v1/projects/{names.project}/apps/{names.app}/versions/v1/meta.yaml",
        token=server.all_rights)
    assert answer.status == 200
    shown = (mount / names.project / names.app / "v1/meta.yaml").read_bytes()
    assert shown == answer.body
    from kkformats import meta  # a second reader, made from the page on formats alone
    meta.parse(shown)


def test_hard_links_become_files(agent, mount, names, tmp_path):
    source = tmp_path / "source"
    trees.write(source, "one", trees.random_bytes(100_000))
    os.link(source / "one", source / "two")
    pushed = agent.push(source, names.project, names.app, "v1")
    assert pushed["files"] == 2
    assert pushed["sent_bytes"] < 110_000, "one content is sent once"
    trees.assert_same(source, mount / names.project / names.app / "v1")


def test_everything_is_read_only(agent, mount, names, tmp_path):
    source = trees.small_tree(tmp_path / "source")
    agent.push(source, names.project, names.app, "v1")
    shown = mount / names.project / names.app / "v1"
    attempts = (lambda: (shown / "new").write_bytes(b""), lambda: (shown / "README.md").open("ab"),
                lambda: (shown / "README.md").unlink(), lambda: (shown / "made").mkdir(),
                lambda: os.symlink("x", shown / "made"), lambda: (shown / "README.md").chmod(0o600),
                lambda: os.utime(shown / "README.md"), lambda: (shown / "empty/inner").rmdir(),
                lambda: os.rename(shown / "README.md", shown / "other"),
                lambda: os.truncate(shown / "README.md", 0), lambda: (mount / "p").mkdir(),
                lambda: os.link(shown / "README.md", shown / "hard"),
                lambda: os.mkfifo(shown / "fifo"))
    for number, attempt in enumerate(attempts):
        with pytest.raises(OSError) as refused:
            attempt()
        assert refused.value.errno == 30, (number, refused.value)  # EROFS
    trees.assert_same(source, shown)


@pytest.mark.slow
@pytest.mark.serial
def test_two_gigabytes(agent, mount, names, big_tmp):
    """One file of 2 GiB of bytes that nothing compresses."""
    source = big_tmp / "source"
    source.mkdir()
    with open(source / "large", "wb") as file:
        for _ in range(2048):
            file.write(os.urandom(1 << 20))
    digest = trees.file_digest(source / "large")
    agent.push(source, names.project, names.app, "v1")
    shown = mount / names.project / names.app / "v1/large"
    assert shown.stat().st_size == 2 << 30
    assert trees.file_digest(shown) == digest
    agent.pull(big_tmp / "pulled", names.project, names.app, "v1")
    assert trees.file_digest(big_tmp / "pulled/large") == digest
