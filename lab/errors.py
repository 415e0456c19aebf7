"""The error that means "the lab failed", as opposed to the command that ran in it."""


class LabError(Exception):
    """A sentence for the user; lab/run prints it and exits with 125."""


class LabFroze(LabError):
    """Nothing runs in the lab any more, by no fault of what was run in it."""
