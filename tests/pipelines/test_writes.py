"""A run writes the output and its temporary area, and nothing else on the whole machine: the system calls tell."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chaos import faults
from tests.labelling import FV2ES, wait_until_gone

CALLS = "creat,openat,open,mkdir,mkdirat,rename,renameat,renameat2,link,linkat,symlink,symlinkat,mknod,mknodat,truncate"
WRITING = re.compile(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC|O_TMPFILE")
PATH = re.compile(r'"((?:[^"\\]|\\.)*)"')
DEVICES = ("/dev/null", "/dev/tty", "/dev/pts/", "/proc/self/", "/proc/thread-self/", "/proc/sys/", "/proc/")
SHARED_MEMORY = "/dev/shm/"  # noqa: S108 - of multiprocessing: gone with its process
TRIAL = re.compile(r"[a-z0-9_]{8}")
"""By which Python finds out whether it may write into a folder for temporary files."""
EXPECTED = re.compile(
    r"(labels|segments)/recipe=[0-9a-f]{12}/[0-9a-f]{20}(-\d{8}T\d{12})?\.parquet"
    r"|_runs/[^/]+/(config\.json|recipe\.json|plan\.parquet|state\.json|stop)"
    r"|_runs/(ledger|sums)/recipe=[0-9a-f]{12}\.parquet"
    r"|_runs/lock\.json|_runs/attempts/[0-9a-f]{20}(-\d{8}T\d{12})?\.(decode|transcribe|infer)\.json"
    r"|_tmp/[0-9a-f]{32}"
)


def written_paths(trace: Path) -> set[Path]:
    """What the traced processes made, opened for writing, or renamed to, as far as it was there."""
    found = set()
    for line in trace.read_text("utf-8", errors="replace").splitlines():
        opened = "open" in line.partition("(")[0]
        if " = -1 " in line or (opened and not WRITING.search(line)):
            continue
        names = PATH.findall(line.partition("(")[2])
        found |= {Path(name) for name in (names[-1:] if "rename" in line else names[:1]) if name.startswith("/")}
    return found


@pytest.fixture
def traced(tmp_path: Path) -> Path:
    """Where strace writes; the test is skipped where there is none, or no right to trace."""
    if not shutil.which("strace"):
        pytest.skip("strace is not installed")
    if subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True, check=False).returncode:
        pytest.skip("no right to trace processes here")
    return tmp_path / "trace"


@pytest.mark.media
@pytest.mark.parametrize("program", ["real models, worker processes", "light models, on Ray"])
def test_a_run_writes_nothing_but_its_output_and_its_temporary_area(traced: Path, tmp_path: Path, program: str) -> None:
    corpus = faults.build_corpus(tmp_path / "corpus", files=1)
    home, temporary, out = tmp_path / "home", Path("/tmp") / f"t{os.getpid()}", tmp_path / "out"  # noqa: S108
    home.mkdir()
    temporary.mkdir()
    env = faults.environment(tmp_path / "watch", HOME=str(home), TMPDIR=str(temporary), PYTHONDONTWRITEBYTECODE="1")
    env.pop("CHAOS_WATCH")
    from models.catalogue import cache_folder

    env["FV2ES_CACHE"] = str(cache_folder())
    real = program.startswith("real")
    start = [str(FV2ES)] if real else [sys.executable, "-m", "tests.chaos.light"]
    engine = ["--engine", "processes" if real else "ray", "--workers", "1"]
    command = ["strace", "-f", "--seccomp-bpf", "-qq", "-s", "4096", "-e", f"trace={CALLS}", "-o", str(traced)]
    command += [*start, "label", str(corpus), "--out", str(out), *engine]
    try:
        done = subprocess.run(
            command, env=env, cwd=faults.ROOT, capture_output=True, text=True, check=False, timeout=500
        )
        assert done.returncode == 3, done.stderr
        paths = written_paths(traced)
        ours = {path.relative_to(temporary).parts[0] for path in paths if temporary in path.parents}
        assert [name for name in ours if not name.startswith("fv2es-") and not TRIAL.fullmatch(name)] == []
        assert wait_until_gone(temporary) == []
        in_out = {str(path.relative_to(out)) for path in paths if path.is_relative_to(out) and path.suffix}
        assert [name for name in in_out if not EXPECTED.fullmatch(name)] == []
        assert any(name.startswith("labels/") for name in in_out)
        places = (out, temporary)
        elsewhere = {
            str(path)
            for path in paths
            if not any(path.is_relative_to(place) or place.is_relative_to(path) for place in places)
            and not str(path).startswith((*DEVICES, SHARED_MEMORY))
        }
        assert elsewhere == set()
        assert list(home.iterdir()) == []
    finally:
        shutil.rmtree(temporary)
