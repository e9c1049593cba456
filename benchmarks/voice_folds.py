"""Which layers of which Whisper say most of emotions? UAR on clips of speakers that a branch never heard.

    python -m benchmarks.voice_folds --data DIR --out CACHE --whisper whisper-base --layers 1,2,3 --layers 2,3,4

The fit speakers are parted into folds; each is judged, on trimmed clips, by one network that heard the others: many
more speakers than the report part has. All else is as models/experiments/voice.yaml says. Prints JSON. DIR holds the
unpacked corpora; CACHE keeps the clips, encoded by all layers that are asked for. Six copies by six layers of
whisper-base take 4 GB there, and twice that of memory.
"""

import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from models.catalogue import locate
from models.train.experiment import EXPERIMENTS, Experiment, read_experiment, sizes_of
from models.train.sounds import list_clips
from models.train.splits import Part
from models.train.voice import Encoded, VoiceRecipe, encode_part, folded, logits_of, recall_by_corpus, train_members
from models.voice import VoiceConfig
from models.whisper_states import WhisperStates


def of_layers(part: Encoded, encoded: tuple[int, ...], wanted: tuple[int, ...]) -> Encoded:
    """The states of `wanted` layers alone, in their order, of clips that were encoded by others too."""
    dim = part.copies[0][0].shape[1] // len(encoded)
    places = torch.cat([torch.arange(dim) + dim * encoded.index(layer) for layer in wanted])
    return replace(part, copies=[[clip[:, places] for clip in copy] for copy in part.copies])


def recall_of_unheard(
    fit: Encoded, tune: Encoded, experiment: Experiment, config: VoiceConfig, seed: int
) -> dict[str, float]:
    """UAR in each corpus, over the trimmed clips of all folds together."""
    recipe, loop = experiment.recipe, experiment.loop.model_copy(update={"seed": seed})
    assert isinstance(recipe, VoiceRecipe)
    logits, rows = [], []
    with tempfile.TemporaryDirectory() as runs:
        for fold, (heard, unheard) in enumerate(folded(fit, recipe.folds)):
            branch = train_members(fit.only(heard), tune, config, recipe, loop, Path(runs) / str(fold))
            logits.append(logits_of(branch, [fit.copies[1][row] for row in unheard]))
            rows += unheard
    return recall_by_corpus(torch.cat(logits), fit.only(rows))


def main(
    data: Annotated[Path, typer.Option(help="Folder of the unpacked corpora.")],
    out: Annotated[Path, typer.Option(help="Folder for the encoded clips.")],
    layers: Annotated[list[str], typer.Option(help="Numbers of layers, as 1,2,3; once for each choice.")],
    whisper: Annotated[str, typer.Option(help="Name of a Whisper in the catalogue.")] = "whisper-tiny.en",
    copies: Annotated[int, typer.Option(min=0, help="Augmented ones of each clip.")] = 6,
    seeds: Annotated[int, typer.Option(min=1)] = 1,
) -> None:
    """Train and judge each choice of layers with each seed, and print JSON."""
    torch.set_num_threads(1)
    choices = [tuple(int(layer) for layer in choice.split(",")) for choice in layers]
    every = tuple(sorted(set().union(*choices)))
    experiment = read_experiment(EXPERIMENTS / "voice.yaml", {"recipe.copies": copies, "model.members": 1})
    config, front_end = sizes_of(experiment), WhisperStates(locate(whisper), layers=every)
    assert isinstance(config, VoiceConfig)

    def encoded(part: Part) -> Encoded:
        made_by = {"copies": copies if part == "fit" else 0, "seed": 0, "whisper": whisper, "layers": list(every)}
        return encode_part(list_clips(data, part), front_end.encode, made_by, out / f"{whisper}.{part}.cache")

    out.mkdir(parents=True, exist_ok=True)
    fit, tune = encoded("fit"), encoded("tune")
    found: list[dict[str, Any]] = []
    for choice in choices:
        sizes = replace(config, encoder_layers=choice, state_dim=front_end.state_dim)
        parts = of_layers(fit, every, choice), of_layers(tune, every, choice)
        for seed in range(seeds):
            found.append({"layers": choice, "seed": seed, "uar": recall_of_unheard(*parts, experiment, sizes, seed)})
            print(whisper, found[-1], file=sys.stderr, flush=True)
    typer.echo(json.dumps({"whisper": whisper, "copies": copies, "found": found}, indent=2))


if __name__ == "__main__":
    typer.run(main)
