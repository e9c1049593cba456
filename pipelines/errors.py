"""Errors that stop a job, and the exit codes of the command line."""

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_FAILED_SEGMENTS = 3
EXIT_TOO_MANY_FAILED = 4
EXIT_IN_USE = 5
EXIT_WORK_LEFT = 6
EXIT_HELD_BACK = 7
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143


class SettingsError(Exception):
    """Something the user set is wrong; said before any work starts. The message says what to do."""


class JobError(Exception):
    """The job as a whole can't go on."""


def with_account(account: str) -> str:
    """What a fault of the code is told by: the last line of its traceback, then all of it."""
    return f"{account.strip().splitlines()[-1]}\n\nThe whole account:\n{account}"


class OutputInUseError(Exception):
    """Another run holds the output. The message says who, and until when."""
