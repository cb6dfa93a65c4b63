"""python -m services.auth"""

from __future__ import annotations

from chassis.run import run
from services.auth.app import app
from services.auth.config import AuthSettings

if __name__ == "__main__":
    run("auth", AuthSettings, app)
