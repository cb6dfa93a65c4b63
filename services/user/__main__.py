"""python -m services.user"""

from __future__ import annotations

from chassis.run import run
from services.user.app import app
from services.user.config import UserSettings

if __name__ == "__main__":
    run("user", UserSettings, app)
