"""The one exception that a user is meant to read."""


class DissectError(Exception):
    """Something a user can mend, told in one line: what was seen, what is legal, what to do."""
