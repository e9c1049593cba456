"""Where media lie: turn a uri into what libav may open, and say which version of a file is there."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec

StorageOptions = Mapping[str, Any]

SIGNED_URL_S = 6 * 3600
"""How long a presigned URL is good for: longer than any segment takes."""

DEMUXERS = (
    # Files that hold media themselves. Nothing that names other files or addresses (hls, dash, concat, sdp, image
    # sequences), nothing that makes up its content (lavfi), no devices.
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,live_flv,asf,asf_o,ogg,mxf,gxf,dv,nut,wtv,rm,"
    "ivf,obu,h264,hevc,vvc,m4v,av1,yuv4mpegpipe,wav,w64,aiff,au,caf,mp3,aac,ac3,eac3,flac,amr,amrnb,amrwb,dts,tta,wv,ape"
)
FILE_PROTOCOLS = "file,pipe"
URL_PROTOCOLS = "https,http,tls,tcp,pipe"

URL_OPTIONS = {
    # A connection that is refused, cut or answered with an error is tried again: a store has such moments.
    "reconnect": "1",
    "reconnect_on_network_error": "1",
    "reconnect_on_http_error": "429,5xx",
    "reconnect_delay_max": "8",
    "reconnect_delay_total_max": "60",
    "rw_timeout": "30000000",  # microseconds without a byte
}


@dataclass(frozen=True)
class SourceVersion:
    """Size in bytes, and the ETag or (local files) the modification time in nanoseconds, as a string."""

    size: int
    etag_or_mtime: str


@contextmanager
def as_os_errors() -> Iterator[None]:
    """Raise what the client of a store says of a cut connection or a missing answer as the OSError that it is.

    The client's libraries have errors of their own; where they were never imported, nothing can have raised them.
    """
    try:
        yield
    except Exception as error:
        names = (("botocore.exceptions", "BotoCoreError"), ("aiohttp", "ClientError"), ("http.client", "HTTPException"))
        kinds = tuple(getattr(sys.modules[module], name) for module, name in names if module in sys.modules)
        if isinstance(error, OSError) or not isinstance(error, kinds):
            raise
        raise ConnectionError(str(error)) from error


def is_local(uri: str) -> bool:
    """Whether a uri is a path on this machine."""
    return "://" not in uri


def source_version(uri: str, storage_options: StorageOptions | None = None) -> SourceVersion:
    """Look at a file as it is now.

    Raises:
        OSError: it is gone (FileNotFoundError) or can't be looked at.
    """
    if is_local(uri):
        stat = Path(uri).stat()
        return SourceVersion(stat.st_size, str(stat.st_mtime_ns))
    with as_os_errors():
        filesystem, path = fsspec.core.url_to_fs(uri, **(storage_options or {}))
        filesystem.invalidate_cache()
        info = filesystem.info(path)
    version = info.get("ETag") or info.get("etag") or info.get("LastModified") or ""
    return SourceVersion(int(info["size"]), str(version).strip('"'))


def media_url(uri: str, storage_options: StorageOptions | None = None) -> str:
    """Return what ffmpeg and libav open for a uri: `file:` and the path, or a presigned URL of an object.

    `file:` makes a name of any characters (a leading dash, colons, percent signs) plainly a file.

    Raises:
        OSError: the store can't be asked.
    """
    if is_local(uri):
        return f"file:{Path(uri).absolute()}"
    with as_os_errors():
        filesystem, path = fsspec.core.url_to_fs(uri, **(storage_options or {}))
        return str(filesystem.sign(path, expiration=SIGNED_URL_S))


def options_for(url: str) -> dict[str, str]:
    """Options of libav for opening a `media_url`."""
    return {"protocol_whitelist": protocols_for(url), **({} if url.startswith("file:") else URL_OPTIONS)}


def protocols_for(url: str) -> str:
    """Protocols that opening a `media_url` may use, for ffmpeg's protocol_whitelist."""
    return FILE_PROTOCOLS if url.startswith("file:") else URL_PROTOCOLS
