"""What chat does, one module a noun; knows no wire format and no database."""
