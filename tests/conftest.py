"""Fixtures of the whole suite: the shared clips, and a machine without a network."""

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings

from models.catalogue import CatalogueError, cache_folder, locate
from pipelines.demo import build_corpus
from tests.offline import sitecustomize as offline

# Before any library is imported that reads them: a test never asks a hub for anything.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_OFFLINE", "1")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

# What is started in the background ignores Ctrl-C, and so would every command that a test starts and interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Two processes of tests share two cores: threads that wait for each other's turn took several times as long.
torch.set_num_threads(1)

# How long an example takes says more of the machine than of the code.
settings.register_profile("fv2es", deadline=None)
settings.load_profile("fv2es")


TAKES_LONG = ("slow", "ray", "s3", "beam", "browser", "media")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what takes minutes to hours (marked `soak`), unless `-m` speaks of it; long files come first.

    So that at the end of all no process works on a long file while another has none left.
    """
    long = {item.path for item in items if any(map(item.get_closest_marker, TAKES_LONG))}
    items.sort(key=lambda item: item.path not in long)
    if "soak" in config.getoption("markexpr"):
        return
    left_out = [item for item in items if item.get_closest_marker("soak")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("soak")]


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of shared clips that FV2ES_TEST_DATA names; without it the test is skipped."""
    named = os.environ.get("FV2ES_TEST_DATA")
    if not named:
        pytest.skip("FV2ES_TEST_DATA is not set: no shared clips here")
    folder = Path(named)
    if not folder.is_dir():
        pytest.skip(f"FV2ES_TEST_DATA names {folder}, which is no folder")
    return folder


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Cut this process off the network; at the end, fail if anything tried to reach it."""
    log = tmp_path / "network-attempts.txt"
    monkeypatch.setenv("NETWORK_ATTEMPTS_LOG", str(log))
    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, getattr(socket.socket, name))
    monkeypatch.setattr(socket, "getaddrinfo", socket.getaddrinfo)
    offline.cut_off()
    yield
    assert not log.exists(), f"tried to reach the network: {log.read_text()}"


@pytest.fixture
def offline_environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment for a child process whose whole tree of Python processes is cut off the network.

    At the end, fails if anything tried to reach it.
    """
    yield from _offline(tmp_path / "network-attempts.txt")


def _offline(log: Path) -> Iterator[dict[str, str]]:
    guard = str(Path(offline.__file__).parent)
    inherited = os.environ.get("PYTHONPATH")
    yield os.environ | {
        "PYTHONPATH": os.pathsep.join([guard, inherited] if inherited else [guard]),
        "NETWORK_ATTEMPTS_LOG": str(log),
        "FV2ES_CACHE": str(cache_folder()),  # found still when a test gives the child another home
    }
    assert not log.exists(), f"tried to reach the network: {log.read_text()}"


@pytest.fixture(scope="module")
def offline_module_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """As `offline_environment`, for all tests of a module together."""
    yield from _offline(tmp_path_factory.mktemp("offline") / "network-attempts.txt")


@pytest.fixture(scope="session")
def demo_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo corpus: real media from published packages, good and broken."""
    try:
        for sample in ("sample-face", "sample-speech"):
            locate(sample)
    except CatalogueError as error:
        pytest.skip(f"the demo's samples were not pulled: {error}")
    folder = tmp_path_factory.mktemp("demo")
    build_corpus(folder)
    return folder
