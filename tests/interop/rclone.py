"""rclone in a world, configured for graphd's drive."""

import json
import shutil

REMOTE = "od:"


def why_not():
    return None if shutil.which("rclone") else "rclone is not installed"


def shown(path):
    """A path as rclone shows it: control characters have pictures."""
    pictures = {c: 0x2400 + c for c in range(32)} | {0x7F: 0x2421}
    return path.translate(pictures)


class Rclone:
    def __init__(self, inside, graphd, base):
        self.world = inside
        base.mkdir(exist_ok=True)
        self.config = base / "rclone.conf"
        self.log = base / "rclone.log"
        token = graphd.token()
        kind = "business" if graphd.kind == "business" else "personal"
        # Expired, so that the first thing rclone does is a refresh.
        stored = {"access_token": token["access_token"],
                  "token_type": "Bearer", "expiry": "2020-01-01T00:00:00Z",
                  "refresh_token": token["refresh_token"]}
        self.config.write_text(
            f"[od]\ntype = onedrive\ntoken = {json.dumps(stored)}\n"
            f"drive_id = {graphd.drive_id()}\ndrive_type = {kind}\n")

    def run(self, *args, check=0):
        done = self.world.run(
            ["rclone", "--config", self.config, "--retries", "1",
             "--low-level-retries", "10", "--transfers", "8", "--checkers", "8",
             "--stats", "0", "-v", *args])
        with self.log.open("a") as f:
            f.write(f"$ {args} -> {done.returncode}\n{done.stderr}\n")
        if check is not None:
            assert done.returncode == check, \
                f"rclone {args}: {done.returncode}\n{done.stderr[-3000:]}"
        return done

    def list(self, path):
        """Relative path, as shown() -> its entry."""
        entries = json.loads(self.run("lsjson", "-R", REMOTE + path).stdout)
        return {e["Path"]: e for e in entries}
