# SPDX-License-Identifier: MIT
"""pushes - a push by hand, a request at a time, so that each can be wrong."""

import hashlib
import os
import time

from kkformats import entries, listing, times

class Push:
    """A push by hand, and 128 KiB of `data` that no other push has: what the server holds already
    it would not ask for."""

    def __init__(self, server, names, version="v1", token=None):
        self.data = os.urandom(128 << 10)
        self.digest = hashlib.sha256(self.data).hexdigest()
        self.server = server
        self.token = token or server.all_rights
        self.app = f"/api/v1/projects/{names.project}/apps/{names.app}"
        self.version = version
        opened = self.request("POST", f"{self.app}/pushes", json_body={"version": version})
        assert opened.status == 201, opened
        self.path = f"{self.app}/pushes/{opened.json()['id']}"

    def request(self, method, path, **options):
        return self.server.request(method, path, token=self.token, **options)

    def put(self, part, body, encoding=None):
        headers = {"Content-Type": "application/octet-stream"}
        if encoding:
            headers["Content-Encoding"] = encoding
        return self.request("PUT", f"{self.path}/{part}", body=body, headers=headers)

    def describe(self, *files):
        """Listing and times of files (path, bytes) at the top."""
        made = [entries.Entry.file(path, len(data), hashlib.sha256(data).digest())
                for path, data in sorted(files)]
        assert self.put("listing", listing.write(made)).status == 204
        assert self.put("times", times.write([0] * len(made))).status == 204

    def part(self, digest, data, offset, total, **headers):
        return self.request("PATCH", f"{self.path}/blobs/{digest}", body=data, headers={
            "Upload-Offset": str(offset), "Upload-Length": str(total),
            "Content-Type": "application/octet-stream",
            **{name.replace("_", "-"): str(value) for name, value in headers.items()}})

    def send(self, offset=0, end=None):
        """Our own bytes [offset, end) as one part."""
        return self.part(self.digest, self.data[offset:end], offset, len(self.data))

    def offset(self):
        """Where the upload stands, once the server is through with what broke off."""
        until = time.monotonic() + 60
        while True:
            answer = self.request("HEAD", f"{self.path}/blobs/{self.digest}")
            if answer.status != 409:
                break
            assert time.monotonic() < until, answer
            time.sleep(0.02)
        assert answer.status == 200, answer
        return int(answer.headers["upload-offset"])

    def commit(self):
        return self.request("POST", f"{self.path}/commit", json_body={})

    def bytes_of(self, path):
        return self.request("GET", f"{self.app}/versions/{self.version}/files/{path}")

    def is_visible(self):
        return self.request("GET", f"{self.app}/versions/{self.version}").status != 404
