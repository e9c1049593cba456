"""What is installed is what the locks say; the bill of materials has all of it; both without a network."""

import json
import re
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

import pytest

from deploy.audit import pinned_script, strangers
from deploy.licences import Installed, installed
from deploy.lock import LOCKS, ROOT, LockError, read_locks
from deploy.sbom import bill
from models.catalogue import entries

A, B = "a" * 64, "b" * 64


def lock(folder: Path, text: str) -> tuple[Path]:
    path = folder / "a.lock"
    path.write_text(text)
    return (path,)


def test_nothing_is_installed_here_that_the_locks_do_not_name() -> None:
    assert len(list(distributions())) > 100
    assert strangers(read_locks(), installed()) == []


def test_strangers_are_named(tmp_path: Path) -> None:
    locked = read_locks(
        lock(
            tmp_path,
            f"here==1.0 --hash=sha256:{A}\nother==1.0 --hash=sha256:{A}\ngone==1.0 --hash=sha256:{A}\n"
            f"elsewhere==1.0 ; sys_platform == 'amiga' --hash=sha256:{A}\n",
        )
    )
    packages = {
        name: Installed(name, version, "MIT", True)
        for name, version in {"here": "1.0", "other": "1.1", "evil": "6.6", "fv2es": "0.1", "elsewhere": "1.0"}.items()
    }
    assert strangers(locked, packages) == [
        "elsewhere 1.0 is installed, but no lock names it",
        "evil 6.6 is installed, but no lock names it",
        "other 1.1 is installed, but the lock has 1.0",
        "gone 1.0 is in the lock, but not installed",
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (f"a>=1.0 --hash=sha256:{A}", "a is not pinned to one version"),
        (f"a==1.* --hash=sha256:{A}", "a is not pinned to one version"),
        (f"a --hash=sha256:{A}", "a is not pinned to one version"),
        (f"a @ https://example.com/a.whl --hash=sha256:{A}", "a is not pinned to one version"),
        ("a==1.0", "a is not pinned by sha256"),
        ("a==1.0 --hash=sha256:abc", "a is not pinned by sha256"),
        ("a==1.0 --hash=md5:abc", "is no requirement"),
        ("--index-url https://example.com", "is no requirement"),
        ("-e .", "is no requirement"),
    ],
)
def test_a_lock_that_pins_less_is_refused(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(LockError, match=re.escape(message)):
        read_locks(lock(tmp_path, f"good==1.0 --hash=sha256:{A}\n{line}\n"))


def test_the_bill_has_every_package_digest_and_model() -> None:
    found = bill(read_locks(), installed(), entries().values())
    # Counted in another way than the code does.
    text = "".join(path.read_text() for path in LOCKS)
    pins = {f"pkg:pypi/{name}@{version}" for name, version in re.findall(r"^([\w.-]+)==(\S+)", text, re.MULTILINE)}
    packages = {item["purl"]: item for item in found["components"] if item["type"] == "library"}
    assert set(packages) == pins
    digests = set(re.findall(r"sha256:([0-9a-f]{64})", text))
    assert {hash["content"] for item in packages.values() for hash in item["hashes"]} == digests
    assert packages[f"pkg:pypi/numpy@{installed()['numpy'].version}"]["licenses"]

    models = {item["name"]: item for item in found["components"] if item["type"] == "machine-learning-model"}
    assert set(models) == set(entries())
    assert models["v2em-s"]["components"][0]["hashes"][0]["content"] == entries()["v2em-s"].files[0].sha256
    assert all(item["licenses"] for item in models.values())


def test_the_bill_is_what_cyclonedx_asks_for_and_the_same_each_time(tmp_path: Path) -> None:
    run = [sys.executable, "-m", "deploy.sbom"]
    for name in ("one.json", "two.json"):
        done = subprocess.run([*run, str(tmp_path / name)], capture_output=True, text=True, check=True, cwd=ROOT)
        assert "components" in done.stdout
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()
    found = json.loads((tmp_path / "one.json").read_text())
    assert (found["bomFormat"], found["specVersion"], found["version"]) == ("CycloneDX", "1.6", 1)
    assert re.fullmatch(r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", found["serialNumber"])
    flat = [*found["components"], *(part for item in found["components"] for part in item.get("components", []))]
    references = [item["bom-ref"] for item in flat]
    assert len(references) == len(set(references))
    for item in flat:
        assert item["name"]
        hashes = [hash["content"] for hash in item.get("hashes", [])]
        assert len(hashes) == len(set(hashes))
        assert item["type"] in ("library", "machine-learning-model", "file")
        for licence in item.get("licenses", []):
            assert set(licence) in ({"expression"}, {"license"})


def test_a_package_pinned_twice_stands_once_with_both_markers(tmp_path: Path) -> None:
    text = (
        f"a==1.0 ; python_version < '3.11' \\\n    --hash=sha256:{A}\n"
        f"a==1.0 ; python_version >= '3.12' \\\n    --hash=sha256:{A} \\\n    --hash=sha256:{B}\n"
    )
    (found,) = bill(read_locks(lock(tmp_path, text)), {}, [])["components"]
    assert [item["content"] for item in found["hashes"]] == [A, B]
    assert len(found["properties"]) == 2
    assert "licenses" not in found


def test_the_audit_lists_licences_and_needs_no_network_for_it() -> None:
    run = [sys.executable, "-m", "deploy.audit", "--no-network"]
    done = subprocess.run(run, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout
    assert "none of them otherwise than locked" in done.stdout
    assert "Apache-2.0: " in done.stdout


def test_known_holes_are_asked_for_in_the_locked_versions(tmp_path: Path) -> None:
    text = f"a==1.0 ; python_version < '3.11' --hash=sha256:{A}\nb==2.0 --hash=sha256:{B}\n"
    script = pinned_script(read_locks(lock(tmp_path, text)))
    pins = ["#   \"a==1.0 ; python_version < '3.11'\",", '#   "b==2.0",']
    assert [line for line in script.splitlines() if "==" in line and "requires" not in line] == pins * 2
