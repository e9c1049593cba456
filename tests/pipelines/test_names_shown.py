"""What the names of files do to a terminal: nothing."""

import os
import subprocess
from pathlib import Path

from tests.labelling import FV2ES


def test_control_characters_and_markup_of_names_are_shown_not_done(tmp_path: Path) -> None:
    for name in (
        "\x1b[2J\x1b]0;owned\x07.mp4",
        "a.mp4\nok b.mp4",
        "[red]c.mp4",
        "\u202e4pm.d.mp4",
        "plain é 馬.mp4",
    ):
        (tmp_path / name).write_bytes(b"")
    done = subprocess.run(
        [FV2ES, "plan", tmp_path], capture_output=True, check=False, env=os.environ | {"LANG": "C.UTF-8"}
    )
    said = done.stdout.decode()
    assert done.returncode == 3, done.stderr
    assert not any(char in said for char in "\x1b\x07\u202e")
    shown = [
        line.partition(f"{tmp_path}/")[2].partition(": empty")[0] for line in said.splitlines() if "empty file" in line
    ]
    assert sorted(shown) == sorted(
        [r"\x1b[2J\x1b]0;owned\x07.mp4", r"a.mp4\nok b.mp4", "[red]c.mp4", r"\u202e4pm.d.mp4", "plain é 馬.mp4"]
    )
