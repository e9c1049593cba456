"""What the README's figures are made of. Each module is run by itself: `python -m benchmarks.speed --clips DIR`."""

import sys
from pathlib import Path

FV2ES = str(Path(sys.executable).with_name("fv2es"))
"""The command that is measured: the one installed beside this Python."""
