"""What ends a comparison before its time, with one line for the user."""

import errno


class LabError(Exception):
    """A mistake in the call or the installation: one clear line, exit status 2."""


class Interrupted(BaseException):
    """A signal asks to end: what is known is shown.  Not an Exception, so that no handler of those swallows it."""

    def __init__(self, number: int):
        super().__init__()
        self.number = number


def explain(error: OSError, place: str) -> str:
    """What the system refused, in one line; the place is where that was, if the error does not know."""
    verb = "write" if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG) else "use"
    return f"cannot {verb} {error.filename or place}: {error.strerror or error}"
