"""python -m services.chat"""

from __future__ import annotations

from chassis.run import run
from services.chat.app import app
from services.chat.config import ChatSettings

if __name__ == "__main__":
    run("chat", ChatSettings, app)
