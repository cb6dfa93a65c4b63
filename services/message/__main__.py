"""Starts the message service: python -m services.message."""

from chassis.run import run
from services.message.app import app
from services.message.config import MessageSettings

if __name__ == "__main__":
    run("message", MessageSettings, app)
