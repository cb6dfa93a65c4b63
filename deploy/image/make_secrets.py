"""Makes the passwords and keys that docker-compose.yml needs, in `.polychat-compose/` beside it.

    python3 deploy/image/make_secrets.py [DIR]

Run it once, before the first `docker compose up`; what is there already stays. It needs Python alone. The
folder is closed to other users; the files in it are readable, because a container has users of its own.
"""

import secrets
import sys
from pathlib import Path

SECRET_BYTES = 32
SERVICES = ("auth", "user", "chat", "message")
USE_REDIS = ("auth", "chat", "message")
KEYS = ("internal.credential", "page-token.key", "signing-key.secret")

REDIS_SETTINGS = """\
bind * -::*
requirepass {password}
appendonly yes
save ""
"""


def main() -> None:
    default = Path(__file__).resolve().parents[2] / ".polychat-compose"
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else default
    folder.mkdir(mode=0o700, exist_ok=True)
    names = (*KEYS, "redis.password", "postgres-admin.password", *map(role_password, SERVICES))
    values = {name: kept(folder / name, secrets.token_urlsafe(SECRET_BYTES)) for name in names}
    kept(folder / "redis.conf", REDIS_SETTINGS.format(password=values["redis.password"]))
    admin = f"postgresql://postgres:{values['postgres-admin.password']}@postgres:5432/postgres"
    kept(folder / "provision.env", f"POLYCHAT_POSTGRES_DSN={admin}\n")
    for service in SERVICES:
        kept(folder / f"{service}.env", environment(service, values))
    sys.stdout.write(f"The secrets of docker-compose.yml are in {folder}; keep them out of the repository.\n")


def role_password(service: str) -> str:
    return f"postgres-{service}.password"


def environment(service: str, values: dict[str, str]) -> str:
    """The logins of a service: its own role in PostgreSQL, and Redis where it uses it."""
    password = values[role_password(service)]
    lines = [f"POLYCHAT_POSTGRES_DSN=postgresql://polychat_{service}:{password}@postgres:5432/polychat"]
    if service in USE_REDIS:
        lines.append(f"POLYCHAT_REDIS_URL=redis://:{values['redis.password']}@redis:6379/0")
    return "\n".join(lines) + "\n"


def kept(path: Path, content: str) -> str:
    """What is in `path`, after `content` was put there when it did not exist."""
    if not path.exists():
        path.write_text(content)
        path.chmod(0o444)
    return path.read_text()


if __name__ == "__main__":
    main()
