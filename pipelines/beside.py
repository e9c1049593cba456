"""Find the transcript beside each video: one listing of each folder that holds any."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

import fsspec
from fsspec.implementations.local import LocalFileSystem

from operators.transcripts import choose, is_transcript_name
from pipelines.links import OUTSIDE, Roots
from pipelines.listing import files_in
from pipelines.source_file import SourceFile, filesystem_of, source_file
from pipelines.storage import explained


def with_transcripts(files: Iterable[SourceFile], roots: Roots, language: str | None) -> list[SourceFile]:
    """The files, each with the transcript that counts for it (see `operators.transcripts.choose`)."""
    by_folder: dict[str, list[SourceFile]] = defaultdict(list)
    for file in files:
        by_folder[file.uri.rpartition("/")[0]].append(file)
    found = []
    for folder, videos in by_folder.items():
        filesystem, path = filesystem_of(folder or "/")
        with explained(folder):
            names = _names(filesystem, path)
        # Few names go with any one video: those that begin as it does.
        by_stem: dict[str, list[str]] = defaultdict(list)
        for name in names:
            for stem in _stems(name):
                by_stem[stem].append(name)
        for video in videos:
            name = video.uri.rpartition("/")[2]
            chosen = choose(name, by_stem.get(name.rpartition(".")[0], ()), language)
            if chosen is None:
                found.append(video)
                continue
            transcript = source_file(filesystem, f"{path}/{chosen}", names[chosen])
            if isinstance(filesystem, LocalFileSystem) and not transcript.problem and not roots.hold(transcript.uri):
                transcript = SourceFile(transcript.uri, 0, "", problem=OUTSIDE)
            found.append(replace(video, transcript=transcript))
    return found


def _stems(name: str) -> set[str]:
    """What the names of videos may begin with that a file of this name goes with: "a.b.en.srt" gives a.b.en and a.b."""
    without_suffix = name.rpartition(".")[0]
    return {stem for stem in (without_suffix, without_suffix.rpartition(".")[0]) if stem}


def _names(filesystem: fsspec.AbstractFileSystem, folder: str) -> dict[str, dict]:
    """The files in a folder that may be transcripts, by name; none in one on disk that can't be listed."""
    try:
        listed = ((path.rpartition("/")[2], info) for path, info in files_in(filesystem, folder))
        return {name: info for name, info in listed if is_transcript_name(name)}
    except OSError:
        if not isinstance(filesystem, LocalFileSystem):
            raise  # it held videos a moment ago, and labels must not depend on the store's moods
        return {}
