"""A store that is wrong, slow, cut off or busy, and what a user sees of it."""

import json
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
import s3fs

from operators.commit import OutputError, Store
from operators.decode import Decode
from operators.media import UnreadableMedia, probe
from operators.schema import PLANNED
from operators.settings import DecodeSettings, WindowSettings
from operators.sources import source_version
from pipelines import lease
from pipelines.corpus import list_corpus
from pipelines.errors import OutputInUseError
from tests.chaos.light import NoFaces
from tests.fault_proxy import Fault, FaultProxy, fault_proxy
from tests.media import make_flash_beep
from tests.pipelines.conftest import CREDENTIALS
from tests.pipelines.test_cli import run

pytestmark = [pytest.mark.s3, pytest.mark.media]

MOOV_AT_END = 60.0
"""Seconds of the test file. ffmpeg puts an MP4's index at its end unless it is asked not to."""


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MP4 of a few megabytes with its index at its end."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    noisy = ("-c:v", "libx264", "-preset", "ultrafast", "-g", "50", "-b:v", "2M", "-minrate", "2M", "-maxrate", "2M")
    make_flash_beep(path, seconds=MOOV_AT_END, video=(*noisy, "-bufsize", "1M", "-x264-params", "nal-hrd=cbr"))
    content = path.read_bytes()
    assert content.index(b"moov") > content.index(b"mdat")
    return path


@pytest.fixture
def proxy(endpoint: str, bucket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultProxy]:
    """The store behind a proxy that makes faults."""
    with fault_proxy(endpoint) as made:
        monkeypatch.setenv("AWS_ENDPOINT_URL", made.address)
        s3fs.S3FileSystem.clear_instance_cache()
        yield made
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.fixture
def impatient(proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two attempts instead of five, with their growing pauses: for what never succeeds."""
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")
    s3fs.S3FileSystem.clear_instance_cache()


def upload(bucket: str, clip: Path, key: str = "corpus/clip.mp4") -> str:
    s3fs.S3FileSystem().put_file(str(clip), f"{bucket}/{key}")
    return f"s3://{bucket}/{key}"


def planned(uri: str, start_ms: int = 0, end_ms: int | None = None) -> dict:
    """A row of a plan for a stretch of a file."""
    info, version = probe(uri), source_version(uri)
    values = dict.fromkeys(PLANNED.names)
    return values | {
        "shard_id": "shard",
        "video_id": "video",
        "uri": uri,
        "size": version.size,
        "etag_or_mtime": version.etag_or_mtime,
        "segment_index": 0,
        "start_ms": start_ms,
        "end_ms": end_ms or info.duration_ms,
        "duration_ms": info.duration_ms,
        "width": info.width,
        "height": info.height,
        "fps": info.fps,
        "video_codec": info.video_codec,
        "audio_codec": info.audio_codec,
        "status": "ok",
        "retryable": False,
    }


def decode(row: dict) -> dict:
    """What decoding one row gives, without the seconds it took."""
    import pyarrow as pa

    table = pa.Table.from_pylist([row], schema=PLANNED)
    (done,) = Decode(DecodeSettings(), WindowSettings(), NoFaces())(table).to_pylist()  # type: ignore[arg-type]
    return {name: value for name, value in done.items() if name not in ("decode_s", "faces_s", "uri", "stderr_tail")}


def test_one_lease_in_a_bucket(bucket: str) -> None:
    root, let_in, refused, ready = f"s3://{bucket}/out", [], threading.Semaphore(0), threading.Barrier(4)

    def come(name: str) -> None:
        ready.wait()
        try:
            with lease.held(Store(root), name, "label", 6) as held:
                let_in.append((name, held.exclusive))
                assert all(refused.acquire(timeout=60) for _ in range(3))
                time.sleep(3)  # it is renewed meanwhile
                held.check()
        except OutputInUseError:
            refused.release()

    threads = [threading.Thread(target=come, args=(f"run-{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [exclusive for _, exclusive in let_in] == [True]
    assert lease.current(Store(root)) is None


def test_a_lease_in_a_bucket_that_has_run_out_is_taken_over_and_its_holder_stops(bucket: str) -> None:
    store = Store(f"s3://{bucket}/out")
    past = (datetime.now(timezone.utc) - timedelta(seconds=60)).isoformat()
    store.put(lease.LOCK, json.dumps(vars(lease.Holder("old", "elsewhere", 1, "x:1", "label", past, past))).encode())
    with lease.held(store, "new", "label", 6):
        assert (holder := lease.current(store)) is not None
        assert holder.run_id == "new"
        with pytest.raises(OutputInUseError, match="run new"), lease.held(store, "third", "label", 6):
            pass


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("variables", "source", "code", "message"),
    [
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, "s3://BUCKET/corpus", 2, "refuses access"),
        ({"AWS_ACCESS_KEY_ID": "nobody"}, "s3://BUCKET/corpus", 2, "refuses access"),
        ({}, "s3://no-such-bucket-anywhere/corpus", 2, "there is no bucket"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "s3://BUCKET/corpus", 1, "does not do what was asked"),
    ],
)
def test_what_is_wrong_with_the_store_is_said_in_words(
    bucket: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    variables: dict[str, str],
    source: str,
    code: int,
    message: str,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    address = source.replace("BUCKET", bucket)
    for arguments in (["plan", address], ["label", str(tmp_path), "--out", address]):
        exited, out, err = run(monkeypatch, capsys, *arguments)
        said = " ".join(err.split())
        assert (exited, message in said) == (code, True), said
        assert "Traceback" not in said
        assert CREDENTIALS["secret"] not in out + err
    s3fs.S3FileSystem.clear_instance_cache()


def test_ten_thousand_keys_are_listed(bucket: str) -> None:
    filesystem = s3fs.S3FileSystem()
    filesystem.pipe({f"{bucket}/many/{number:05}.mp4": b"x" for number in range(10_000)})
    filesystem.invalidate_cache()
    started = time.monotonic()
    assert len(list_corpus([f"s3://{bucket}/many"]).files) == 10_000
    assert time.monotonic() - started < 120


def test_errors_that_pass_are_tried_again(proxy: FaultProxy, bucket: str, clip: Path) -> None:
    store = Store(f"s3://{bucket}/out")
    proxy.faults += [Fault("PUT", status=500, times=2), Fault("GET", "list-type", status=503, times=2)]
    store.put("a.json", b"{}")
    assert store.names("", ".json") == ["a.json"]
    uri = upload(bucket, clip)
    proxy.faults += [Fault("GET", "clip.mp4", status=503, times=1), Fault("HEAD", "clip.mp4", status=500, times=1)]
    assert probe(uri).duration_ms == int(MOOV_AT_END * 1000)
    assert source_version(uri).size == clip.stat().st_size
    assert all(fault.times == 0 for fault in proxy.faults)


@pytest.mark.usefixtures("impatient")
def test_a_store_that_takes_nothing_ends_the_job_with_words(proxy: FaultProxy, bucket: str) -> None:
    proxy.faults.append(Fault("PUT", status=500, times=10_000))
    with pytest.raises(OutputError, match="Can't write s3://"):
        Store(f"s3://{bucket}/out").put("a.json", b"{}")


@pytest.mark.usefixtures("impatient")
def test_what_is_put_is_there_as_a_whole_or_not_at_all(proxy: FaultProxy, bucket: str) -> None:
    store, old, new = Store(f"s3://{bucket}/out"), b"o" * 3_000_000, b"n" * 3_000_000
    store.put("a.parquet", old)
    proxy.faults.append(Fault("PUT", "parquet", cut_after_bytes=1_000_000, times=10_000))
    with pytest.raises(OutputError, match="Can't write s3://"):
        store.put("a.parquet", new)
    with pytest.raises(OutputError, match="Can't write s3://"):
        store.put("b.parquet", new)
    assert (store.read("a.parquet"), store.exists("b.parquet")) == (old, False)
    proxy.faults[0].times = 1
    store.put("a.parquet", new)
    assert store.read("a.parquet") == new
    assert store.names("", "") == ["a.parquet"]


def test_a_reader_never_sees_a_part_of_what_is_put(bucket: str) -> None:
    store, done, seen = Store(f"s3://{bucket}/out"), threading.Event(), set()
    contents = [bytes([letter]) * 2_000_000 for letter in b"abcdefgh"]
    store.put("a.parquet", contents[0])

    def read() -> None:
        other = Store(f"s3://{bucket}/out")
        while not done.is_set():
            seen.add(other.read("a.parquet"))

    reader = threading.Thread(target=read)
    reader.start()
    for content in contents:
        store.put("a.parquet", content)
    done.set()
    reader.join()
    assert seen
    assert seen <= set(contents)


def test_only_what_is_needed_is_read(proxy: FaultProxy, bucket: str, clip: Path) -> None:
    uri, size = upload(bucket, clip), clip.stat().st_size
    row = planned(uri, 40_000, 42_000)
    probed = sum(request.sent_bytes for request in proxy.requests if request.method == "GET")
    assert probed < size / 2
    proxy.requests.clear()
    local = planned(str(clip), 40_000, 42_000)
    assert decode(row) | {"etag_or_mtime": ""} == decode(local) | {"etag_or_mtime": ""}
    reads = [request for request in proxy.requests if request.method == "GET" and "clip.mp4" in request.path]
    assert all(request.range for request in reads)


@pytest.mark.parametrize(
    "fault", [Fault(contains="clip.mp4", cut_after_bytes=100_000), Fault(contains="clip.mp4", bytes_per_s=2_000_000)]
)
def test_a_read_that_is_cut_or_slow_gives_the_same(proxy: FaultProxy, bucket: str, clip: Path, fault: Fault) -> None:
    row = planned(upload(bucket, clip), 0, 20_000)
    whole = decode(row)
    assert (whole["status"], whole["reason"]) == ("ok", None)
    proxy.faults.append(Fault(**(vars(fault) | {"times": 3})))
    assert decode(row) == whole
    assert proxy.faults[0].times < 3


def test_a_store_that_stays_away_in_mid_read_is_no_damage_of_the_file(
    proxy: FaultProxy, bucket: str, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from operators import sources

    monkeypatch.setitem(sources.URL_OPTIONS, "reconnect_delay_total_max", "2")
    row = planned(upload(bucket, clip), 0, 60_000)
    proxy.faults += [Fault(contains="clip.mp4", cut_after_bytes=2_000_000, times=1)]
    proxy.faults += [Fault(contains="clip.mp4", status=503, times=10_000)]
    done = decode(row)
    assert (done["status"], done["retryable"]) == ("unreadable", True)
    assert "storage" in done["reason"]
    assert "Signature" not in json.dumps({name: str(value) for name, value in done.items() if name != "pcm"})


def test_a_store_that_is_away_when_a_header_is_read_is_tried_again_later(
    proxy: FaultProxy, bucket: str, clip: Path
) -> None:
    uri = upload(bucket, clip)
    proxy.faults.append(Fault(contains="clip.mp4", status=403, times=10_000))
    with pytest.raises(UnreadableMedia) as caught:
        probe(uri)
    assert caught.value.retryable
    assert "Signature" not in caught.value.reason


@pytest.mark.usefixtures("impatient")
def test_a_connection_that_is_cut_before_the_answer_is_the_stores_doing(
    proxy: FaultProxy, bucket: str, clip: Path
) -> None:
    row = planned(upload(bucket, clip))
    proxy.faults.append(Fault("HEAD", "clip.mp4", cut_after_bytes=0, times=10_000))
    done = decode(row)
    assert (done["status"], done["retryable"]) == ("unreadable", True)
    assert "the storage said: Connection was closed" in done["reason"]
    assert "Signature" not in done["reason"]


def test_an_object_that_is_replaced_while_it_is_read_is_noticed(proxy: FaultProxy, bucket: str, clip: Path) -> None:
    uri = upload(bucket, clip)
    row = planned(uri, 0, 10_000)
    replaced = threading.Event()

    def replace(request: object) -> None:
        if getattr(request, "method", "") == "GET" and not replaced.is_set():
            replaced.set()
            s3fs.S3FileSystem(skip_instance_cache=True).pipe_file(uri, b"another file")

    proxy.on_request = replace
    done = decode(row)
    assert replaced.is_set()
    assert (done["status"], done["retryable"]) == ("changed_during_run", True)
