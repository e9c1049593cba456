"""A folder in the layout of Hugging Face's datasets: data/*.parquet, and a card with metadata in YAML (README.md)."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from pipelines import results

ROWS_PER_FILE = 1_000_000

CARD = """\
# Emotions in videos, labelled by FV2ES

{utterances:,} utterances of {videos:,} videos ({hours:,.1f} hours), one row each: its times, its words, and a
probability for each of seven emotions. Recipe `{recipe}`, model {models}.

| column | what it holds |
|---|---|
| `uri`, `start_ms`, `end_ms` | the video, and the stretch in it, in milliseconds, half-open |
| `text`, `words` | what was said, and when each word was |
| `emotion`, `confidence` | the most probable emotion and its probability |
| `p_neutral` ... `p_surprise` | a probability for each emotion |
| `text_p`, `audio_p`, `face_p` | what words, voice and face say alone |

    from datasets import load_dataset
    rows = load_dataset("path/to/this/folder", split="train")

Labels were made by a model and are guesses about expression, not about what people feel. Addresses and words may tell
who people are: look at both before you give this folder away. The weights are for non-commercial use.
"""


def write_folder(rows: pa.RecordBatchReader, folder: Path, about: dict[str, Any]) -> int:
    """Write the rows and the card; returns the number of rows.

    Args:
        rows: of the labels.
        folder: is there.
        about: what the card says: videos, hours, recipe, models.

    Raises:
        OSError: it can't be written.
    """
    data = folder / "data"
    data.mkdir(exist_ok=True)
    for old in data.glob("train-*.parquet"):
        old.unlink()
    written = number = 0
    batch: pa.RecordBatch | None = next(iter(rows), None)
    while batch is not None:
        path = data / f"train-{number:05}.parquet"
        of_file = 0
        with pq.ParquetWriter(path, rows.schema, compression="zstd") as writer:
            while batch is not None and of_file < ROWS_PER_FILE:
                writer.write_batch(batch)
                of_file += batch.num_rows
                batch = next(iter(rows), None)
        written, number = written + of_file, number + 1
    if not number:
        results.to_file(rows, data / "train-00000.parquet", results.write_parquet)
    (folder / "README.md").write_text(_metadata(written) + CARD.format(utterances=written, **about), "utf-8")
    return written


def _metadata(rows: int) -> str:
    size = next(name for limit, name in _SIZES if rows < limit)
    values = {
        "pretty_name": "Emotions in videos, labelled by FV2ES",
        "task_categories": ["audio-classification", "video-classification", "text-classification"],
        "tags": ["emotion-recognition", "multimodal"],
        "size_categories": [size],
        "annotations_creators": ["machine-generated"],
        "configs": [{"config_name": "default", "data_files": [{"split": "train", "path": "data/train-*.parquet"}]}],
    }
    return f"---\n{yaml.safe_dump(values, sort_keys=False)}---\n\n"


_SIZES = [
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
    (float("inf"), "10M<n<100M"),
]
