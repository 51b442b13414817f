# SPDX-License-Identifier: MIT
"""Runs the C reader and writer over many jobs at once."""

import os
import pathlib
import subprocess

_ROOT = pathlib.Path(__file__).resolve().parents[2]
_PLACE = "tests/formats/format-tool"


class FormatTool:
    """The program at `path`, and a folder for the files of its jobs."""

    def __init__(self, path):
        self.path = path

    @staticmethod
    def find():
        """By KKARTIFACT_FORMAT_TOOL, else in the build directory."""
        named = os.environ.get("KKARTIFACT_FORMAT_TOOL")
        build = os.environ.get("KKARTIFACT_BUILD_DIR", str(_ROOT / "build"))
        path = pathlib.Path(named) if named else pathlib.Path(build) / _PLACE
        if not os.access(path, os.X_OK):
            raise FileNotFoundError(
                f"no format-tool at {path}: build it, and name it in KKARTIFACT_FORMAT_TOOL "
                "(or its build directory in KKARTIFACT_BUILD_DIR)"
            )
        return FormatTool(path)

    def run(self, jobs):
        """The answer to each job, split into words. A job is a tuple of its fields."""
        text = "".join("\t".join(str(part) for part in job) + "\n" for job in jobs)
        done = subprocess.run(
            [str(self.path)], input=text.encode(), capture_output=True, timeout=240, check=False
        )
        lines = done.stdout.decode("utf-8", "replace").splitlines()
        complaint = done.stderr.decode("utf-8", "replace")[-2000:]
        assert done.returncode == 0, f"format-tool ended with {done.returncode}\n{complaint}"
        last = jobs[len(lines)] if len(lines) < len(jobs) else None
        assert len(lines) == len(jobs), f"{len(lines)} answers to {len(jobs)} jobs, next {last}"
        answers = [line.split() for line in lines]
        for job, answer in zip(jobs, answers):
            assert answer and answer[0] in ("ok", "refused"), f"{job}: {answer}"
        return answers


class Jobs:
    """Collects jobs with what must come back, then runs them in one go.

    `expect` is called with the words of the answer and gives None or a complaint.
    """

    def __init__(self, tool, folder):
        self.tool = tool
        self.folder = folder
        self.jobs = []
        self.expectations = []
        self.number = 0

    def file(self, data=None):
        """A new file's path; without data the file is not made."""
        self.number += 1
        path = self.folder / f"{self.number:06d}"
        if data is not None:
            path.write_bytes(data)
        return path

    def add(self, *job, expect):
        self.jobs.append(job)
        self.expectations.append(expect)

    def run(self):
        """All complaints, each with its job."""
        complaints = []
        if not self.jobs:
            return complaints
        for job, expect, answer in zip(self.jobs, self.expectations, self.tool.run(self.jobs)):
            complaint = expect(answer)
            if complaint:
                complaints.append(f"{job}: {complaint}")
        return complaints


def says(*words):
    """Expects exactly these words."""
    wanted = [str(word) for word in words]
    return lambda answer: None if answer == wanted else f"said {answer}, wanted {wanted}"


def refuses(answer):
    return None if answer[0] == "refused" else f"said {answer}, wanted a refusal"


def writes(path, data, *words):
    """Expects these words and these bytes in the file."""

    def check(answer):
        complaint = says(*words)(answer)
        if complaint:
            return complaint
        made = path.read_bytes()
        if made == data:
            return None
        at = next((i for i, (a, b) in enumerate(zip(made, data)) if a != b), None)
        at = min(len(made), len(data)) if at is None else at
        near = slice(max(0, at - 16), at + 48)
        return f"{path.name} differs at {at}: C {made[near]!r}, Python {data[near]!r}"

    return check
