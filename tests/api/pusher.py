# SPDX-License-Identifier: MIT
"""pusher - a push by hand: the requests of one, each of which a case can leave out or spoil."""

import base64
import hashlib
import struct


class File:
    def __init__(self, data, mode=0o644):
        self.data = data
        self.mode = mode
        self.sha256 = hashlib.sha256(data).hexdigest()


def repr_digest(data):
    return f"sha-256=:{base64.b64encode(hashlib.sha256(data).digest()).decode()}:"


def in_order(tree):
    """Paths component by component, bytes unsigned."""
    return sorted(tree, key=lambda path: [part.encode("utf-8", "surrogateescape")
                                          for part in path.split("/")])


def listing_of(tree):
    """A dict of path -> File, None (a directory) or str (a link's target)."""
    out = [b"kkartifact-listing-1\0"]
    for path in in_order(tree):
        entry = tree[path]
        name = path.encode("utf-8", "surrogateescape")
        if entry is None:
            out.append(b"d 0755 " + name + b"\0")
        elif isinstance(entry, str):
            out.append(b"l " + name + b"\0" + entry.encode() + b"\0")
        else:
            out.append(b"f %04o %d %s %s\0" % (entry.mode, len(entry.data),
                                              entry.sha256.encode(), name))
    return b"".join(out)


def times_of(tree, time=1_700_000_000):
    out = [b"kkartifact-times-1\0"]
    for path in in_order(tree):
        out.append(struct.pack("<q", 0 if isinstance(tree[path], str) else time))
    return b"".join(out)


class Pusher:
    def __init__(self, server, token, project, app):
        self.server = server
        self.token = token
        self.base = f"/api/v1/projects/{project}/apps/{app}"
        self.id = None

    def request(self, method, path, **more):
        return self.server.request(method, self.base + path, token=self.token, **more)

    def create(self, **members):
        answer = self.request("POST", "/pushes", json_body=members)
        if answer.status == 201:
            self.id = answer.json()["id"]
        return answer

    def put(self, what, data, **headers):
        return self.request("PUT", f"/pushes/{self.id}/{what}", body=data,
                            headers={"Content-Type": "application/octet-stream",
                                     **{name.replace("_", "-"): value
                                        for name, value in headers.items()}})

    def missing(self, tree):
        """The paths whose bit is set."""
        answer = self.request("GET", f"/pushes/{self.id}/missing")
        assert answer.status == 200, answer
        files = [path for path in in_order(tree) if isinstance(tree[path], File)]
        assert len(answer.body) == (len(files) + 7) // 8
        return [path for i, path in enumerate(files) if answer.body[i // 8] >> i % 8 & 1]

    def head(self, sha256):
        return self.request("HEAD", f"/pushes/{self.id}/blobs/{sha256}")

    def patch(self, sha256, part, offset, length, **headers):
        return self.request("PATCH", f"/pushes/{self.id}/blobs/{sha256}", body=part,
                            headers={"Upload-Offset": str(offset), "Upload-Length": str(length),
                                     **headers})

    def commit(self, **members):
        return self.request("POST", f"/pushes/{self.id}/commit", json_body=members)

    def begin(self, tree, **members):
        """Up to the blobs: create, listing, times. The paths that are missing."""
        answer = self.create(**members)
        assert answer.status == 201, answer
        for what, data in (("listing", listing_of(tree)), ("times", times_of(tree))):
            if what in answer.json()["wanted"]:
                put = self.put(what, data)
                assert put.status == 204, put
        return self.missing(tree)

    def push(self, tree, **members):
        """A whole push; the version object."""
        for path in self.begin(tree, **members):
            data = tree[path].data
            answer = self.patch(tree[path].sha256, data, 0, len(data))
            assert answer.status == 204, answer
            assert answer.headers["upload-offset"] == str(len(data))
        answer = self.commit()
        assert answer.status == 201, answer
        return answer.json()["version"]
