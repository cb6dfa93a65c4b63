"""`python -m scripts.stack up|down|status`: what scripts/up and scripts/down call."""

from scripts.stack.commands import app

app()
