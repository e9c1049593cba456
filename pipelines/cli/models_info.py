"""`fv2es models info`: what one entry of the catalogue is; of the emotion model, everything about it."""

import json
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from models.catalogue import CatalogueError, Entry, digest, find, locate
from pipelines.cli.console import JsonOption, out, print_unbroken
from pipelines.errors import SettingsError

EMOTION_MODEL = "v2em-s"
EXAMPLES = """
[bold]Examples[/]

  fv2es models info

  fv2es models info whisper-tiny.en --json
"""


def info(
    name: Annotated[str, typer.Argument(help="A name as `fv2es models list` shows it.")] = EMOTION_MODEL,
    json_output: JsonOption = False,
) -> None:
    """Say what a model is: digest, size, licence; of the emotion model also cost, calibration and how good it is."""
    try:
        entry = find(name)
        known: dict[str, Any] = _catalogued(entry)
        if name == EMOTION_MODEL:
            known |= _emotion_model()
    except CatalogueError as error:
        raise SettingsError(str(error)) from error
    if json_output:
        typer.echo(json.dumps(known, indent=2))
    elif name == EMOTION_MODEL:
        _show_emotion_model(known)
    else:
        _show(known)


def _catalogued(entry: Entry) -> dict[str, Any]:
    try:
        where: str | None = str(locate(entry.name))
        content: str | None = digest(entry.name)
    except CatalogueError:
        where = content = None
    return {
        "name": entry.name,
        "role": entry.role,
        "licence": entry.licence,
        "where": where,
        "digest": content,
        "bytes": entry.size,
        "files": {file.name: file.sha256 for file in entry.files},
    }


def _emotion_model() -> dict[str, Any]:
    from models.facts import model_facts  # torch: the other subcommands start without it
    from models.weights_file import WeightsError

    try:
        return model_facts(locate(EMOTION_MODEL)).model_dump(mode="json")
    except WeightsError as error:
        raise SettingsError(str(error)) from error


def _show(known: dict[str, Any]) -> None:
    size = "unknown" if known["bytes"] is None else f"{known['bytes'] / 1e6:.1f} MB"
    lines = {"role": known["role"], "licence": known["licence"], "size": size, "where": known["where"] or "not here"}
    _table(known["name"], lines | {f"sha256 of {name}": value or "unknown" for name, value in known["files"].items()})


def _show_emotion_model(known: dict[str, Any]) -> None:
    costs, temperatures = known["gmac_per_s"], known["calibration"]
    _table(
        f"{known['name']}: {known['model_id']}",
        {
            "role": known["role"],
            "licence": f"{known['licence']} (see the model card)",
            "file": known["where"],
            "sha256": known["sha256"],
            "size": f"{known['bytes'] / 1e6:.1f} MB",
            "labels, in order": ", ".join(known["labels"]),
            "branches": ", ".join(known["branches"]),
            "parameters": ", ".join(f"{name} {count / 1e6:.2f} M" for name, count in known["parameters"].items()),
            "cost": f"{costs['face_and_voice']:.2f} GMAC for a second of video, face and voice: "
            f"face {costs['face']:.3f}, Whisper's encoder {costs['whisper_encoder']:.3f}, voice {costs['voice']:.3f}",
            "calibration": ", ".join(f"{name}: temperature {c['temperature']:.2f}" for name, c in temperatures.items()),
            "fusion": ", ".join(f"{name} {weight:.3f}" for name, weight in known["fusion"].items()),
        },
    )
    if not known["numbers"]:
        out.print("\nNo evaluation lies beside the weights; `fv2es evaluate` makes one.")
        return
    table = Table(
        "measured on", "part", "items", "accuracy", "majority", "UAR", "macro F1", "weighted F1", "ECE", box=None
    )
    for name, found in known["numbers"].items():
        values = [found[key]["value"] for key in ("uar_shared", "macro_f1", "weighted_f1", "ece")]
        low, high = found["accuracy"]["interval_95"]
        accuracy = f"{found['accuracy']['value']:.3f} [{low:.3f}, {high:.3f}]"
        majority = f"{found['accuracy']['baselines']['majority']:.3f}"
        row = [name, found["part"], f"{found['items']:,}", accuracy, majority, *(f"{value:.3f}" for value in values)]
        table.add_row(*map(escape, row))
    out.print()
    print_unbroken(table)
    out.print("Brackets: 95% interval over items. UAR: among the emotions that the corpus has.", soft_wrap=True)
    if not known["measured_on_these_weights"]:
        out.print("[red]These were measured on other weights than those that are here.[/]", soft_wrap=True)


def _table(title: str, lines: dict[str, str]) -> None:
    out.print(f"[bold]{escape(title)}[/]", soft_wrap=True)
    width = max(map(len, lines))
    for name, value in lines.items():
        out.print(f"  {name:<{width}}  {escape(value)}", soft_wrap=True)
