"""What may import what, and what no tracked file may name."""

import ast
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ENGINES = {"ray", "apache_beam"}
FORBIDDEN = {"operators": {"pipelines", *ENGINES}, "models": {"pipelines", "operators", *ENGINES}}

# Spelt in halves, so that this file does not name them either.
HOSTS = ["pypi" + ".org", "pythonhosted" + ".org", "npmjs" + ".org", "deb.debian" + ".org", "download.pytorch" + ".org"]
PLACES = ["../" + "shared", "/wo" + "rk/"]


def sources(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imported(path: Path) -> set[str]:
    """Top-level packages that a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add((node.module or "").split(".")[0])
    return names


@pytest.mark.parametrize("package", FORBIDDEN)
def test_packages_know_only_what_is_below_them(package: str) -> None:
    assert sources(package)
    trespassing = {
        str(path.relative_to(ROOT)): bad for path in sources(package) if (bad := imported(path) & FORBIDDEN[package])
    }
    assert trespassing == {}


def tracked_files() -> list[Path]:
    try:
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def test_no_tracked_file_names_a_registry_or_a_place_outside_the_repository() -> None:
    named = []
    for path in tracked_files():
        content = path.read_bytes()
        words = HOSTS if path == ROOT / ".ci" / "run" else HOSTS + PLACES
        named += [f"{path.relative_to(ROOT)}: {word}" for word in words if word.encode() in content]
    assert named == []


def test_the_lock_pins_and_hashes_every_package() -> None:
    requirements = (ROOT / "requirements.lock").read_text("utf-8").replace("\\\n", " ").splitlines()
    assert requirements
    for line in filter(None, requirements):
        assert "==" in line, line
        assert "--hash=sha256:" in line, line


def test_files_stay_short_enough_to_read() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for package in ("pipelines", "operators", "models", "tests", "benchmarks")
        for path in sources(package)
        if (lines := len(path.read_text("utf-8").splitlines())) > 400
    }
    assert long == {}
