"""Every command of fv2es that deploy/ names is one that there is, with the options that it has."""

import re
import shlex

import pytest
from typer.main import get_command

from pipelines.cli.app import app
from tests.deploy.files import DEPLOY

FILES = ["README.md", "Dockerfile", "compose/compose.yaml", "cron/fv2es-nightly", "systemd/fv2es-nightly.service"]
FILES += [str(path.relative_to(DEPLOY)) for path in sorted((DEPLOY / "kubernetes").rglob("kustomization.yaml"))]
COMMAND = re.compile(
    r"(?:^|[\s/`])fv2es(?:-job)? ((?:label|nightly|submit|jobs|models|status|plan|validate|retry)\b[^`#;\n]*)"
)


def commands() -> set[str]:
    texts = [(DEPLOY / name).read_text("utf-8").replace("\\\n", " ") for name in FILES]
    return {found.strip() for text in texts for found in COMMAND.findall(text)}


def test_there_are_commands() -> None:
    assert {line.split()[0] for line in commands()} >= {"label", "nightly", "submit", "models"}


@pytest.mark.parametrize("line", sorted(commands()))
def test_a_command_is_there_and_has_its_options(line: str) -> None:
    name, *rest = shlex.split(line)
    known = get_command(app).commands
    if name not in known:
        pytest.skip(f"this FV2ES has no command {name}")
    command = known[name]
    if hasattr(command, "commands"):
        command = command.commands[rest[0]]
    options = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in rest if word.startswith("-")} <= options | {"--help"}
