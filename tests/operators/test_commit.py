"""The output as a store: what its listing says, and what it does not pass over."""

import os
from pathlib import Path

import pytest

from operators.commit import OutputError, Store


def test_a_listing_names_files_at_any_depth_and_follows_no_linked_folder(tmp_path: Path) -> None:
    for name in ("out/a/one.parquet", "out/a/b/two.parquet", "out/a/b/notes.txt", "elsewhere/three.parquet"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"12345")
    (tmp_path / "out/a/linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "out/a/linked.parquet").symlink_to(tmp_path / "elsewhere/three.parquet")
    (tmp_path / "out/a/dangling.parquet").symlink_to(tmp_path / "nothing")
    store = Store(str(tmp_path / "out"))
    found = store.details("a", ".parquet")
    assert list(found) == ["a/b/two.parquet", "a/linked.parquet", "a/one.parquet"]
    status = (tmp_path / "out/a/one.parquet").stat()
    assert found["a/one.parquet"] == {"size": 5, "ino": status.st_ino, "mtime": status.st_mtime}
    assert store.names("nothing", ".parquet") == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may look into any folder")
def test_a_folder_that_cannot_be_looked_into_is_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / "segments").mkdir()
    (tmp_path / "segments").chmod(0)
    with pytest.raises(OutputError, match=r"Can't read .*segments: Permission denied"):
        Store(str(tmp_path)).names("segments", ".parquet")
    (tmp_path / "segments").chmod(0o700)
