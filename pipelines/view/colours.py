"""The style sheet of the palette's colours for the page, whose theme is chosen on the page itself."""

from pipelines.palette import DARK, LIGHT, PAGE_DARK, PAGE_LIGHT


def style_sheet() -> str:
    """Custom properties: `--happy` ... and `--paper` ...; dark where the page says `data-theme="dark"`."""
    light, dark = (
        " ".join(f"--{name}: {value};" for name, value in {**page, **emotions}.items())
        for page, emotions in ((PAGE_LIGHT, LIGHT), (PAGE_DARK, DARK))
    )
    return f':root {{ color-scheme: light; {light} }}\n:root[data-theme="dark"] {{ color-scheme: dark; {dark} }}\n'
