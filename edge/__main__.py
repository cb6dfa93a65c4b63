"""python -m edge"""

from chassis.run import run
from edge.app import app
from edge.config import EdgeSettings

if __name__ == "__main__":
    run("edge", EdgeSettings, app)
