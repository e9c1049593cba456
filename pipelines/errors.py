"""Errors that stop a job, and the exit codes of the command line."""

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_FAILED_SEGMENTS = 3
EXIT_INTERRUPTED = 130


class SettingsError(Exception):
    """Something the user set is wrong; said before any work starts. The message says what to do."""


class JobError(Exception):
    """The job as a whole can't go on."""
