#!/usr/bin/env python3
"""Checks what rustfmt and clippy cannot: sizes, directions, doors, licences, duplicates.

The rules stand in lint.toml beside this file.
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent
RULES = tomllib.loads((ROOT / ".ci/lint.toml").read_text())
CARGO = os.environ.get("CARGO", "cargo")
GENERATED = {"golden", "snapshots", "target", ".tools"}


def sizes():
    """Yields files that outgrew their limit; inline test modules do not count."""
    for path in sorted(ROOT.rglob("*.rs")):
        relative = path.relative_to(ROOT)
        if GENERATED & set(relative.parts):
            continue
        lines = path.read_text().splitlines()
        is_test = "tests" in relative.parts or path.stem == "tests"
        if is_test:
            limit = RULES["sizes"]["tests"]
        else:
            limit = RULES["sizes"]["production"]
            inline = next((n for n, line in enumerate(lines) if line.startswith("mod tests {")), None)
            lines = lines[:inline]
        if len(lines) > limit:
            yield f"{relative}: {len(lines)} lines, the limit is {limit}: split it by reason to change"
        if path.name == "mod.rs":
            yield f"{relative}: module files are named after their module, not mod.rs"


def directions(workspace):
    """Yields dependencies between workspace packages that the design does not have."""
    names = {package["name"] for package in workspace}
    for package in workspace:
        allowed = RULES["edges"].get(package["name"])
        if allowed is None:
            yield f"{package['name']}: has no line in .ci/lint.toml [edges]"
            continue
        for dependency in package["dependencies"]:
            name, kind = dependency["name"], dependency["kind"]
            if name in names and "*" not in allowed and name not in allowed:
                if kind != "dev" or name != "nuncio-testing":
                    yield f"{package['name']} -> {name}: this direction is not allowed"
            users = RULES["doors"].get(name)
            if users is not None and package["name"] not in users and kind is None:
                if package["name"] != "nuncio-integration-tests":
                    yield f"{package['name']} uses {name}, which only {', '.join(users)} may"
            if package["name"] in RULES["cores"]["packages"] and kind is None:
                if name in RULES["cores"]["banned"]:
                    yield f"{package['name']} uses {name}: a core does no I/O"


def licence_ok(expression):
    """Evaluates an SPDX expression: every AND part needs one allowed OR part."""
    allowed = RULES["licences"]["allow"]
    for part in re.split(r"\s+AND\s+", expression.replace("/", " OR ")):
        choices = re.split(r"\s+OR\s+", part.strip("() "))
        if not any(choice.strip("() ") in allowed for choice in choices):
            return False
    return True


def licences(crates):
    """Yields crates whose licence is not on the list."""
    for name, version, licence in crates:
        if not licence_ok(licence):
            yield f"{name} {version}: licence `{licence}` is not on the list"


def duplicates(crates):
    """Yields crates that are built in two versions without a reason on the list."""
    versions = {}
    for name, version, _ in crates:
        versions.setdefault(name, set()).add(version)
    tolerated = RULES["duplicates"]
    for name, found in sorted(versions.items()):
        if len(found) > 1 and name not in tolerated:
            yield f"{name}: versions {', '.join(sorted(found))} without a reason in .ci/lint.toml [duplicates]"
    for name in tolerated:
        if len(versions.get(name, ())) < 2:
            yield f"{name}: has one version now, remove its line from .ci/lint.toml [duplicates]"


def dependency_crates():
    """Returns (name, version, licence) of every crate that is built for this platform."""
    command = [CARGO, "tree", "--workspace", "--locked", "--edges", "all", "--prefix", "none", "--format", "{p}|{l}"]
    lines = subprocess.check_output(command, cwd=ROOT, text=True).splitlines()
    # A package line reads `name vVERSION (path or note)|licence`; feature lines have no version.
    found = (re.match(r"(\S+) v(\S+)( \(.*\))?\|(.*?)( \(\*\))?$", line) for line in lines)
    return sorted({(m[1], m[2], m[4]) for m in found if m and str(ROOT) not in (m[3] or "")})


def main():
    command = [CARGO, "metadata", "--format-version", "1", "--locked", "--no-deps"]
    workspace = json.loads(subprocess.check_output(command, cwd=ROOT))["packages"]
    crates = dependency_crates()
    faults = [*sizes(), *directions(workspace), *licences(crates), *duplicates(crates)]
    for fault in faults:
        print(f"lint: {fault}")
    print(f"lint: {len(crates)} crates, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
