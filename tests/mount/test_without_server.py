# SPDX-License-Identifier: MIT
"""The server is away, silent, or says no."""

import errno
import os
import signal
import subprocess
import sys
import time

import pytest

from agent import run
from mounts import fails_with, forget_pages
from proxies import HELD_S, CountingProxy, Silence


def test_what_is_known_goes_on(new_server, project, push, new_mount):
    server = new_server()
    source = push(server, f"{project}/app/v1", {"a": b"1", "b/c": os.urandom(700_000), "d": b"4"})
    mount = new_mount(server.url, server.all_rights, deadline="2s")
    top = mount / project / "app" / "v1"
    assert (top / "a").read_bytes() == b"1"
    assert (top / "b" / "c").read_bytes() == (source / "b" / "c").read_bytes()
    server.kill()
    forget_pages()
    assert (top / "a").read_bytes() == b"1"
    assert (top / "b" / "c").read_bytes() == (source / "b" / "c").read_bytes()
    assert os.listdir(mount / project / "app") == ["v1"]
    started = time.monotonic()
    fails_with(errno.EIO, (top / "d").read_bytes)
    assert time.monotonic() - started < 60
    assert mount.status()["last_error"]
    assert mount.status()["online"] is False
    mount.umount()
    # And mounted again, with nobody there.
    mount.mount()
    forget_pages()
    assert (top / "a").read_bytes() == b"1"
    assert (top / "b" / "c").read_bytes() == (source / "b" / "c").read_bytes()
    assert os.listdir(mount.path) == [project]
    assert os.listdir(mount / project) == ["app"]
    assert os.listdir(mount / project / "app") == ["v1"]
    fails_with(errno.EIO, (mount / project / "app" / "v2").stat)
    # It comes back.
    again = new_server(server.data, listen=f"127.0.0.1:{server.port or _port(mount.url)}")
    until = time.monotonic() + 60
    while True:
        try:
            assert (top / "d").read_bytes() == b"4"
            break
        except OSError:
            assert time.monotonic() < until
            time.sleep(0.2)
    assert again.url == mount.url


@pytest.mark.parametrize("heard", [True, False])
def test_who_comes_back_before_the_deadline_is_waited_for(new_server, project, push, new_mount,
                                                          heard):
    """A version that was not opened yet: its name known from a list, or not known at all."""
    server = new_server()
    push(server, f"{project}/app/v1", {"a": b"1"})
    mount = new_mount(server.url, server.all_rights, deadline="100s")
    if heard:
        assert os.listdir(mount / project / "app") == ["v1"]
    server.kill()
    lister = subprocess.Popen(["ls", str(mount / project / "app" / "v1")], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True)
    with pytest.raises(subprocess.TimeoutExpired):
        lister.wait(4)
    new_server(server.data, listen=f"127.0.0.1:{_port(mount.url)}")
    out, said = lister.communicate(timeout=120)
    assert lister.returncode == 0, said
    assert "a" in out.split()


def test_names_end_at_the_deadline(new_server, project, push, new_mount):
    server = new_server()
    push(server, f"{project}/app/v1", {"a": b"1"})
    mount = new_mount(server.url, server.all_rights, deadline="5s")
    assert os.listdir(mount / project / "app") == ["v1"]
    server.kill()
    started = time.monotonic()
    fails_with(errno.EIO, os.listdir, mount / project / "app" / "v1")
    assert 4 < time.monotonic() - started < 60
    said = mount.status()["last_error"]
    assert _port(mount.url) in said or "connect" in said, said


def _port(url):
    return url.rsplit(":", 1)[1]


def test_a_server_that_was_never_there(new_mount):
    mount = new_mount("http://127.0.0.1:9", "kka_aaaaaaaaaaaa_" + "b" * 43, mounted=False,
                      deadline="2s")
    done = mount.try_mount().expect(7)
    assert len(done.stderr.splitlines()) == 1 and "before it was ready" not in done.stderr
    assert "127.0.0.1:9" in done.stderr


def test_a_token_that_is_wrong(server, new_mount):
    new_mount(server.url, "kka_aaaaaaaaaaaa_" + "b" * 43, mounted=False).try_mount().expect(4)


def assert_unauthorised(mount):
    """The server is there, and does not take the token."""
    status = mount.status()
    assert (status["online"], status["unauthorised"]) == (True, True), status
    assert "the token is refused" in mount.verb("status", mount.path).expect(0).stdout


@pytest.mark.parametrize("strict", [False, True])
def test_a_token_that_is_taken_away(new_server, project, push, new_mount, strict):
    server = new_server()
    push(server, f"{project}/app/v1", {"a": b"1", "b": b"2"})
    push(server, f"{project}/app/v2", {"a": b"3"})
    token = server.token("pull")
    options = {"strict_auth": True} if strict else {}
    mount = new_mount(server.url, token, deadline="3s", **options)
    app = mount / project / "app"
    assert (app / "v1" / "a").read_bytes() == b"1"
    assert mount.status()["unauthorised"] is False
    server.revoke(token)
    until = time.monotonic() + 60
    if strict:
        while True:
            try:
                (app / "v1").stat()
            except PermissionError:
                break
            assert time.monotonic() < until
            time.sleep(0.3)
        fails_with(errno.EACCES, os.listdir, app)
        assert_unauthorised(mount)
        return
    time.sleep(2)
    forget_pages()
    assert (app / "v1" / "a").read_bytes() == b"1"
    while True:
        try:
            (app / "v1" / "b").read_bytes()
            assert time.monotonic() < until
        except OSError as error:
            assert error.errno == errno.EACCES
            break
    fails_with(errno.EACCES, (app / "unheard").stat)
    assert_unauthorised(mount)
    # And from the start, when it is mounted again for what is known.
    mount.umount()
    mount.mount()
    assert_unauthorised(mount)
    assert (app / "v1" / "a").read_bytes() == b"1"


READER = "import sys; open(sys.argv[1], 'rb').read(); print('read')"


def start_reader(path):
    return subprocess.Popen([sys.executable, "-c", READER, str(path)], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE)


def test_a_read_ends_at_the_deadline(server, project, push, new_mount):
    push(server, f"{project}/app/v1", {"slow": os.urandom(2_000_000), "fast": b"1"})
    with Silence(server, r"/blobs/") as silence:
        mount = new_mount(silence.proxy.url, server.all_rights, deadline="2s")
        top = mount / project / "app" / "v1"
        assert (top / "fast").read_bytes() == b"1"
        silence.hold()
        started = time.monotonic()
        fails_with(errno.EIO, (top / "slow").read_bytes)
        assert 1.5 < time.monotonic() - started < HELD_S
        # What is here is answered meanwhile.
        forget_pages()
        assert (top / "fast").read_bytes() == b"1"
        assert mount.status()["last_error"]


@pytest.mark.parametrize("where", ["bytes", "tree", "names"])
def test_who_waits_can_be_killed(server, project, push, new_mount, where):
    push(server, f"{project}/app/v1", {"slow": os.urandom(2_000_000)})
    pattern = {"bytes": r"/blobs/", "tree": r"/tree", "names": r"/versions"}[where]
    with Silence(server, pattern) as silence:
        mount = new_mount(silence.proxy.url, server.all_rights, deadline="200s")
        silence.hold()
        reader = start_reader(mount / project / "app" / "v1" / "slow")
        with pytest.raises(subprocess.TimeoutExpired):
            reader.wait(1.5)
        reader.send_signal(signal.SIGKILL)
        assert reader.wait(60) == -signal.SIGKILL  # neither the deadline nor the answer has come
        # The mount lives.
        assert os.listdir(mount.path)
        silence.let()
        assert (mount / project / "app" / "v1" / "slow").stat().st_size == 2_000_000


def test_other_signals_do_not_break_a_read(server, project, push, new_mount):
    source = push(server, f"{project}/app/v1", {"slow": os.urandom(2_000_000)})
    program = ("import signal,sys,hashlib; signal.signal(signal.SIGALRM, lambda *a: None); "
               "signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05); "
               "data = open(sys.argv[1],'rb').read(); "
               "signal.setitimer(signal.ITIMER_REAL, 0); "  # at its end nobody takes them any more
               "print(hashlib.sha256(data).hexdigest())")
    with Silence(server, r"/(blobs/|versions|tree)") as silence:
        mount = new_mount(silence.proxy.url, server.all_rights)
        silence.hold()
        reader = subprocess.Popen([sys.executable, "-c", program,
                                   str(mount / project / "app" / "v1" / "slow")],
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        time.sleep(1)
        silence.let()
        out, err = reader.communicate(timeout=60)
        assert reader.returncode == 0, err
        import hashlib
        assert out.decode().strip() == hashlib.sha256((source / "slow").read_bytes()).hexdigest()


def test_lists_of_a_silent_server_are_shown_as_they_were(server, project, push, new_mount):
    push(server, f"{project}/app/v1", {"a": b"1"})
    with Silence(server, r"/(projects|apps|versions)") as silence:
        mount = new_mount(silence.proxy.url, server.all_rights)
        assert os.listdir(mount / project / "app") == ["v1"]
        assert (mount / project / "app" / "v1" / "a").read_bytes() == b"1"
        silence.hold()
        time.sleep(2)  # longer than lists are believed
        started = time.monotonic()
        for _ in range(5):
            assert os.listdir(mount / project / "app") == ["v1"]
            assert (mount / project / "app" / "v1" / "a").read_bytes() == b"1"
        assert time.monotonic() - started < 20  # the deadline of one is 30


def test_a_second_server_takes_over(new_server, project, push, new_mount):
    server = new_server()
    push(server, f"{project}/app/v1", {"a": b"1", "b": b"2" * 100_000})
    with CountingProxy(server.port) as first:
        mount = new_mount(first.url, server.all_rights, server=server.url)
        assert (mount / project / "app" / "v1" / "a").read_bytes() == b"1"
    assert (mount / project / "app" / "v1" / "b").read_bytes() == b"2" * 100_000


# ------------------------------------------------------------------ certificates

def make_certificate(directory, name, valid_at):
    """(certificate, key) of 127.0.0.1 that are valid for two days from then on."""
    certificate, key = directory / f"{name}.pem", directory / f"{name}-key.pem"
    run(["faketime", valid_at, "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
         "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", f"/CN={name}", "-addext",
         "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate]).expect(0)
    return certificate, key


def tls(certificate, key):
    return {"KKARTIFACT_TLS_CERT": str(certificate), "KKARTIFACT_TLS_KEY": str(key)}


def test_a_certificate_that_has_expired(new_server, project, agent_push, new_mount, tmp_path):
    """As where the clock is far ahead: what is known is mounted and read, and why the rest is not
    can be seen."""
    good = make_certificate(tmp_path, "good", "1 hour ago")
    old = make_certificate(tmp_path, "old", "2020-01-01 00:00:00")
    trusted = tmp_path / "trusted.pem"
    trusted.write_text(good[0].read_text() + old[0].read_text())
    server = new_server(environment=tls(*good))
    source = tmp_path / "tree"
    source.mkdir()
    for name in ("a", "b"):
        (source / name).write_bytes(name.encode() * 1000)
    agent_push(server, source, project, "app", "v1", ca_file=str(trusted))
    mount = new_mount(server.url, server.all_rights, deadline="3s", ca_file=trusted,
                      prefetch="none")
    top = mount / project / "app" / "v1"
    assert (top / "a").read_bytes() == b"a" * 1000
    mount.umount()
    server.stop()
    new_server(server.data, listen=f"127.0.0.1:{_port(mount.url)}", environment=tls(*old))
    mount.mount()
    forget_pages()
    assert os.listdir(mount.path) == [project]
    assert (top / "a").read_bytes() == b"a" * 1000
    fails_with(errno.EIO, (top / "b").read_bytes)
    fails_with(errno.EIO, (mount / project / "app" / "v2").stat)
    status = mount.status()
    assert "certificate" in status["last_error"], status
    assert status["online"] is False
    assert status["unauthorised"] is False
