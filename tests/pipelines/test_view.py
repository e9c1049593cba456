"""The server of `fv2es view`, asked as a browser asks it and as strangers would."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import s3fs
from hypothesis import given
from hypothesis import strategies as st

from pipelines.view.ranges import UnsatisfiableError, asked_range
from tests.view_output import PARTITION, a_video, said, write_output
from tests.view_server import Server, serving

CONTENT = bytes(range(256)) * 5000
UTTERANCES = [said(1000, 2500, "good morning", "happy", 0.8), said(3000, 4000, None, "sad", 0.4)]


class Shown:
    """An output with one labelled file and one that can't be read, being served."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "corpus" / "a talk.mp4"
        self.file.parent.mkdir()
        self.file.write_bytes(CONTENT)
        broken = folder / "corpus" / "broken.mkv"
        broken.write_bytes(b"x")
        self.out = folder / "out"
        self.video = a_video(self.file, 5000)
        self.broken = a_video(broken, 0, status="unreadable", reason="truncated")
        write_output(self.out, {self.video: UTTERANCES, self.broken: []})
        self.server: Server

    @property
    def media(self) -> str:
        return f"/media/{self.video.video_id}/{self.server.access.ticket(self.video.video_id)}"

    def api(self, path: str = "") -> str:
        return f"/api/videos/{self.video.video_id}{path}"


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    made = Shown(tmp_path_factory.mktemp("view"))
    with serving(made.out) as made.server:
        yield made


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Shown]:
    """The same, for a test that changes it."""
    made = Shown(tmp_path)
    with serving(made.out) as made.server:
        yield made


def test_the_corpus_is_told_in_columns(shown: Shown) -> None:
    corpus = shown.server.ask("/api/corpus").json
    assert (corpus["out"], corpus["recipe"], corpus["annotator"]) == (str(shown.out), PARTITION, "maria")
    videos = corpus["videos"]
    assert videos["uri"] == [shown.video.uri, shown.broken.uri]
    assert videos["utterances"] == [2, 0]
    assert videos["dominant"] == [corpus["emotions"].index("happy"), None]
    assert [sum(column) for column in zip(*videos["emotion_ms"], strict=True)] == [2500, 0]
    assert [videos["status"][1], videos["reason"][1]] == ["unreadable", "truncated"]


def test_a_video_is_told_with_words_modalities_and_reasons(shown: Shown) -> None:
    told = shown.server.ask(shown.api()).json
    utterances = told["utterances"]
    assert utterances["start_ms"] == [1000, 3000]
    assert (utterances["word_counts"], utterances["word_word"]) == ([2, 0], ["good", "morning"])
    assert utterances["text_p"][7:] == [0] * 7
    assert utterances["text_missing"] == [None, "no speech"]
    assert sum(utterances["p"][:7]) == pytest.approx(1000, abs=4)
    assert told["segments"][0]["end_ms"] == 5000
    assert told["media"] == {"url": shown.media, "type": "video/mp4", "problem": None}
    assert shown.server.ask("/api/videos/0123456789abcdef").status == 404


REFUSED = {
    "a name of someone else's": {"Host": "evil.example"},
    "a name that only begins like ours": {"Host": "127.0.0.1.evil.example"},
    "another page": {"Origin": "http://evil.example"},
    "another port of this machine": {"Origin": "http://127.0.0.1:1"},
    "a page without an origin": {"Origin": "null"},
    "another site, as browsers tell": {"Sec_Fetch_Site": "cross-site"},
    "another server of this machine, as browsers tell": {"Sec_Fetch_Site": "same-site"},
}


@pytest.mark.parametrize("headers", REFUSED.values(), ids=REFUSED)
def test_other_pages_are_refused_even_with_the_token(shown: Shown, headers: dict[str, str]) -> None:
    for path in ("/api/corpus", shown.api(), shown.media):
        answer = shown.server.ask(path, **headers)
        assert answer.status == 403, path
        assert b"talk" not in answer.body
    verdict = b'{"video_id": "%s", "segment_index": 0, "utterance_index": 0, "to_emotion": "sad"}'
    body = verdict % shown.video.video_id.encode()
    assert shown.server.ask("/api/annotations", "POST", body, **headers).status == 403
    assert not (shown.out / "annotations").exists()


@pytest.mark.parametrize("token", [None, "", "wrong", "ü"])
def test_without_the_token_nothing_is_told(shown: Shown, token: str | None) -> None:
    for path in ("/api/corpus", shown.api()):
        answer = shown.server.ask(path, X_FV2ES_Token=token)
        assert answer.status == 403
        assert "open the address" in answer.json["error"]
    assert shown.server.ask("/api/annotations", "POST", b"{}", X_FV2ES_Token=token).status == 403


def test_a_ticket_opens_one_video_only(shown: Shown) -> None:
    ticket = shown.server.access.ticket(shown.broken.video_id)
    for path in (f"/media/{shown.video.video_id}/{ticket}", f"/media/{shown.video.video_id}/x"):
        assert shown.server.ask(path).status == 403


def test_a_change_needs_an_origin_and_json(shown: Shown) -> None:
    assert shown.server.ask("/api/annotations", "POST", b"{}", Origin=None).status == 403
    assert shown.server.ask("/api/annotations", "POST", b"{}", Content_Type="text/plain").status == 415
    assert shown.server.ask("/api/corpus", "DELETE").status == 403
    assert shown.server.ask("/api/corpus", "OPTIONS").status in (403, 405)
    assert shown.server.ask("/api/annotations", "POST", b"x" * 20_000).status == 413


@pytest.mark.parametrize(
    "path",
    ["/page/", "/../server.py", "/%2e%2e/server.py", "/page/../index.html", "/media/", "/etc/passwd", "//etc/passwd"],
)
def test_there_are_no_other_files_and_no_listings(shown: Shown, path: str) -> None:
    answer = shown.server.ask(path)
    assert answer.status in (403, 404)
    assert b"import" not in answer.body


def test_every_answer_keeps_the_page_to_itself(shown: Shown) -> None:
    for path in ("/", "/main.js", "/style.css", "/api/corpus", shown.media, "/nothing"):
        headers = shown.server.ask(path).headers
        assert headers["X-Content-Type-Options"] == "nosniff", path
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert headers["Cache-Control"] == "no-store"
        assert headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self';")
        assert "Access-Control-Allow-Origin" not in headers
        assert "Set-Cookie" not in headers


@given(st.integers(1, 50), st.data())
def test_a_range_is_what_the_standard_says(size: int, data: st.DataObject) -> None:
    content = bytes(range(size))
    first, last = data.draw(st.integers(0, 60)), data.draw(st.integers(0, 60))
    cases = {f"bytes={first}-{last}": content[first : last + 1], f"bytes={first}-": content[first:]}
    cases[f"bytes=-{last}"] = content[-last:] if last else b""
    for header, expected in cases.items():
        try:
            part = asked_range(header, size)
        except UnsatisfiableError:
            assert expected == b""
            continue
        if header == f"bytes={first}-{last}" and last < first:
            assert part is None
        else:
            assert part is not None
            assert content[part.start : part.stop] == expected
    for ignored in (None, "", "bytes=", "bytes=-", "bytes=0-1,3-4", "lines=0-1", "bytes=a-b"):
        assert asked_range(ignored, size) is None


def test_a_player_gets_the_ranges_that_it_asks_for(shown: Shown) -> None:
    whole = shown.server.ask(shown.media)
    assert (whole.status, whole.body) == (200, CONTENT)
    assert whole.headers["Accept-Ranges"] == "bytes"
    etag = whole.headers["ETag"]
    part = shown.server.ask(shown.media, Range="bytes=1000-1999")
    assert (part.status, part.body) == (206, CONTENT[1000:2000])
    assert part.headers["Content-Range"] == f"bytes 1000-1999/{len(CONTENT)}"
    assert shown.server.ask(shown.media, Range="bytes=-3").body == CONTENT[-3:]
    assert shown.server.ask(shown.media, Range="bytes=10-12", If_Range=etag).body == CONTENT[10:13]
    assert shown.server.ask(shown.media, Range="bytes=10-12", If_Range='"another"').body == CONTENT
    behind = shown.server.ask(shown.media, Range=f"bytes={len(CONTENT)}-")
    assert (behind.status, behind.headers["Content-Range"]) == (416, f"bytes */{len(CONTENT)}")
    head = shown.server.ask(shown.media, "HEAD", Range="bytes=0-9")
    assert (head.status, head.body, head.headers["Content-Length"]) == (206, b"", "10")


def _replace_by_link(file: Path) -> None:
    outside = file.parent.parent / "secret.mp4"
    file.rename(outside)
    file.symlink_to(outside)


def _replace_by_pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


CHANGES = {
    "changed": (lambda file: file.write_bytes(b"another"), 409, "has changed"),
    "missing": (lambda file: file.unlink(), 404, "no longer where"),
    "a link that leads out": (_replace_by_link, 403, "leads out of the corpus"),
    "a pipe": (_replace_by_pipe, 403, "no regular file"),
}


@pytest.mark.parametrize(("change", "status", "message"), CHANGES.values(), ids=CHANGES)
def test_only_the_version_that_was_labelled_is_shown(alone: Shown, change, status: int, message: str) -> None:
    change(alone.file)
    answer = alone.server.ask(alone.media)
    assert answer.status == status
    assert message in answer.json["error"]
    told = alone.server.ask(alone.api()).json
    assert message in told["media"]["problem"]
    assert told["utterances"]["start_ms"] == [1000, 3000]


def test_a_link_within_the_corpus_is_followed(tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    (corpus / "kept").mkdir(parents=True)
    (corpus / "kept" / "a.mp4").write_bytes(CONTENT)
    (corpus / "a.mp4").symlink_to(corpus / "kept" / "a.mp4")
    video = a_video(corpus / "a.mp4", 5000)
    write_output(tmp_path / "out", {video: UTTERANCES})
    with serving(tmp_path / "out") as server:
        answer = server.ask(f"/media/{video.video_id}/{server.access.ticket(video.video_id)}", Range="bytes=0-9")
        assert (answer.status, answer.body) == (206, CONTENT[:10])


def test_a_verdict_is_a_row_and_to_undo_is_another(alone: Shown) -> None:
    video_id = alone.video.video_id
    first = alone.server.say(video_id, 0, "sad")
    assert first.status == 200
    right = alone.server.say(video_id, 1, "sad").json
    back = alone.server.say(video_id, 0, None, undoes=first.json["annotation_id"]).json
    (file,) = (alone.out / "annotations").glob("*.parquet")
    rows = pq.read_table(file).to_pylist()
    assert [row["annotation_id"] for row in rows] == [row["annotation_id"] for row in (first.json, right, back)]
    assert {row["annotator"] for row in rows} == {"maria"}
    assert [(row["from_emotion"], row["to_emotion"]) for row in rows] == [
        ("happy", "sad"),
        ("sad", "sad"),
        ("happy", None),
    ]
    assert [(row["utterance_index"], row["start_ms"], row["end_ms"]) for row in rows[:2]] == [
        (0, 1000, 2500),
        (1, 3000, 4000),
    ]
    assert rows[0] | {"annotated_at": None} == rows[0] | {
        "annotated_at": None,
        "video_id": video_id,
        "uri": alone.video.uri,
        "segment_index": 0,
        "text": "good morning",
        "recipe": PARTITION,
        "model_id": "test-1",
        "undoes": None,
    }
    told = alone.server.ask(alone.api()).json["annotations"]
    assert {place: [row["to_emotion"] for row in found] for place, found in told.items()} == {"1": ["sad"]}
    assert alone.server.ask("/api/corpus").json["videos"]["annotations"] == [1, 0]


@pytest.mark.parametrize(
    ("index", "to_emotion", "more", "status"),
    [
        (0, "joyful", {}, 400),
        (0, None, {}, 400),
        (0, "sad", {"undoes": "x"}, 400),
        (0, "sad", {"annotator": "someone else"}, 400),
        (7, "sad", {}, 404),
    ],
)
def test_what_is_no_verdict_is_not_kept(shown: Shown, index: int, to_emotion, more: dict, status: int) -> None:
    assert shown.server.say(shown.video.video_id, index, to_emotion, **more).status == status
    assert not (shown.out / "annotations").exists()


@pytest.mark.s3
def test_a_bucket_is_shown_by_ranges_and_annotated(bucket: str, tmp_path: Path) -> None:
    filesystem = s3fs.S3FileSystem()
    key = f"{bucket}/corpus/a b.mp4"
    filesystem.pipe_file(key, CONTENT)
    local = tmp_path / "a.mp4"
    local.write_bytes(CONTENT)
    etag = filesystem.info(key)["ETag"].strip('"')
    video = a_video(local, 5000)
    video = replace(video, uri=f"s3://{key}", etag_or_mtime=etag)
    write_output(f"s3://{bucket}/out", {video: UTTERANCES})
    with serving(f"s3://{bucket}/out") as server:
        path = f"/media/{video.video_id}/{server.access.ticket(video.video_id)}"
        part = server.ask(path, Range="bytes=1000-1999")
        assert (part.status, part.body) == (206, CONTENT[1000:2000])
        assert server.say(video.video_id, 0, "sad").status == 200
        assert len(filesystem.find(f"{bucket}/out/annotations")) == 1
        filesystem.pipe_file(key, b"another")
        assert server.ask(path).status == 409
        filesystem.rm_file(key)
        assert server.ask(path).status == 404
