# SPDX-License-Identifier: MIT
"""api/openapi.yaml and the table of routes say the same, both ways."""

import json
import pathlib
import subprocess

import yaml

from server import program

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
DOCUMENT = ROOT / "api" / "openapi.yaml"
METHODS = ("get", "head", "put", "post", "patch", "delete")


def document():
    return yaml.safe_load(DOCUMENT.read_text(encoding="utf-8"))


def routes():
    done = subprocess.run([program("kkartifact-server"), "routes", "--json"], check=True,
                          stdout=subprocess.PIPE, timeout=60)
    return json.loads(done.stdout)


def described():
    return {(method.upper(), path.replace("{path}", "{path...}")): operation
            for path, item in document()["paths"].items()
            for method, operation in item.items() if method in METHODS}


def test_every_route_is_described_and_nothing_else():
    table = {(route["method"], route["path"]) for route in routes()}
    assert table == set(described())


def test_permissions_are_those_of_the_table():
    table = {(route["method"], route["path"]): route["permission"] for route in routes()}
    assert table == {key: operation["x-permission"] for key, operation in described().items()}


def test_bodies_are_those_of_the_table():
    kinds = {"application/json": "json", "application/octet-stream": "stream",
             "application/vnd.kkartifact.pack": "stream",
             "application/vnd.kkartifact.delta": "stream"}
    for route in routes():
        operation = described()[route["method"], route["path"]]
        content = list(operation.get("requestBody", {}).get("content", {}))
        wanted = set() if route["body"] == "none" else {route["body"]}
        assert {kinds[kind] for kind in content} == wanted


def test_open_operations_need_no_token():
    for (method, path), operation in described().items():
        is_open = operation["x-permission"] in ("open", "metrics")
        assert (operation.get("security") == []) == is_open, (method, path)
        assert is_open or "401" in operation["responses"], (method, path)


def references(value):
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"]
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def test_references_lead_somewhere_and_nothing_is_unused():
    whole = document()
    used = set(references(whole))
    there = {f"#/components/{kind}/{name}" for kind, items in whole["components"].items()
             for name in items if kind != "securitySchemes"}
    assert used == there


def test_operation_ids_are_unique():
    ids = [operation["operationId"] for operation in described().values()]
    assert len(ids) == len(set(ids))


def test_the_server_serves_this_document(server):
    answer = server.request("GET", "/api/v1/openapi.yaml")
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/yaml"
    assert answer.body == DOCUMENT.read_bytes()
