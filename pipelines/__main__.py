"""`python -m pipelines`: the command line, where only the packages are there, as on the nodes of a cluster."""

import sys

if not (3, 10) <= sys.version_info[:2] < (3, 13):  # before anything is imported that an older one can't read
    sys.exit("FV2ES needs Python 3.10, 3.11 or 3.12; this machine's `python` is %d.%d." % sys.version_info[:2])  # noqa: UP031

try:
    from pipelines.cli.app import main
except ModuleNotFoundError as error:
    sys.exit(
        f"This machine's `python` ({sys.executable}) lacks the package {error.name}. The nodes of a cluster want the "
        "packages of requirements.lock, as the image of deploy/ has them; the code of FV2ES itself is sent to them."
    )

if __name__ == "__main__":
    main()
