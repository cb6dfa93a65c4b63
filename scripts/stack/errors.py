"""What goes wrong while the stack starts, as a sentence that says what to do."""


class StackError(Exception):
    """Its text is shown to the person as it is and ends the command with status 1."""


class NotReadyError(Exception):
    """One probe of a part failed; the text says why, and the next probe may succeed."""
