"""Plan, engines and command line: what turns a corpus and a configuration into committed Parquet, and reads it."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipelines.reading import Labels


def open_labels(out: str, recipe: str | None = None) -> "Labels":
    """Open an output for reading, in a `with` block; see `pipelines.reading.Labels`.

    Args:
        out: a folder or an s3:// prefix that `fv2es label` has written to.
        recipe: the id of a recipe, or how it begins; the latest one with labels when it is None.

    Raises:
        SettingsError: no run has written there, or none with this recipe.
    """
    from pipelines.reading import Labels  # workers import this package too, and read nothing

    return Labels(out, recipe)
