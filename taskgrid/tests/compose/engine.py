"""The container engine: commands, and base images where there is no registry."""

import pathlib
import shutil
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]

BASE_IMAGES = {"RUST_IMAGE": "rust:1-bookworm", "RUNTIME_IMAGE": "debian:bookworm-slim"}
DEBIAN_STAND_IN = "taskgrid-stand-in:bookworm-slim"
DEBIAN_MIRROR = "http://deb.debian.org/debian"

# What a slim image of Debian leaves out.
NOT_SLIM = ["usr/share/doc", "usr/share/man", "usr/share/info", "usr/share/locale", "var/cache/apt", "var/lib/apt/lists"]

PULL_LIMIT = 600
STEP_LIMIT = 60


class Failure(Exception):
    """Something is not as it should be."""


def say(text):
    print(f"compose test: {text}", flush=True)


def run(*command, limit=STEP_LIMIT, **options):
    """Runs a command to its end and returns what it printed."""
    done = subprocess.run(command, cwd=ROOT, timeout=limit, text=True, capture_output=True, **options)
    if done.returncode != 0:
        raise Failure(f"{' '.join(command)} exited with {done.returncode}:\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
    return done.stdout.strip()


def works(*command, limit=STEP_LIMIT):
    """Whether a command is there and ends well."""
    try:
        return subprocess.run(command, timeout=limit, capture_output=True).returncode == 0
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return False


def until(what, limit, probe):
    """Asks `probe` until it returns something true."""
    deadline = time.monotonic() + limit
    while True:
        answer = probe()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise Failure(f"after {limit} s: {what}")
        time.sleep(0.1)


def missing():
    """Why nothing can be tested here, if it cannot."""
    if not works("docker", "info"):
        return "no Docker engine answers here"
    if not works("docker-compose", "version") and not works("docker", "compose", "version"):
        return "there is neither 'docker compose' nor 'docker-compose' here"
    return None


def choose_base_images():
    """The build arguments that name images which this engine has."""
    if all(works("docker", "image", "inspect", image) for image in BASE_IMAGES.values()):
        return BASE_IMAGES
    if all(works("docker", "pull", image, limit=PULL_LIMIT) for image in BASE_IMAGES.values()):
        return BASE_IMAGES
    say("the base images are neither here nor to be pulled: using stand-ins made on this machine")
    return {"RUNTIME_IMAGE": debian_stand_in(), "RUST_IMAGE": rust_stand_in()}


def debian_stand_in():
    if works("docker", "image", "inspect", DEBIAN_STAND_IN):
        return DEBIAN_STAND_IN
    say(f"making {DEBIAN_STAND_IN} by debootstrap")
    with tempfile.TemporaryDirectory() as scratch:
        root = f"{scratch}/root"
        run("debootstrap", "--variant=minbase", "bookworm", root, DEBIAN_MIRROR, limit=PULL_LIMIT)
        leave_out = [f"--exclude=./{path}/*" for path in NOT_SLIM]
        run("tar", "-C", root, *leave_out, "-cf", f"{scratch}/root.tar", ".", limit=PULL_LIMIT)
        run("docker", "import", f"{scratch}/root.tar", DEBIAN_STAND_IN, limit=PULL_LIMIT)
    return DEBIAN_STAND_IN


def rust_stand_in():
    toolchain = run("rustc", "--print", "sysroot")
    image = "taskgrid-stand-in:rust-" + run("rustc", "--version").split()[1]
    if works("docker", "image", "inspect", image):
        return image
    say(f"making {image} of {toolchain}")
    with tempfile.TemporaryDirectory() as scratch:
        run("tar", "-C", toolchain, "-cf", f"{scratch}/toolchain.tar", "bin", "lib", limit=PULL_LIMIT)
        # Where a proxy opens this machine's connections, the build has to trust it too.
        shutil.copy("/etc/ssl/certs/ca-certificates.crt", scratch)
        pathlib.Path(scratch, "Dockerfile").write_text(
            f"FROM {DEBIAN_STAND_IN}\n"
            "RUN apt-get update && apt-get install --yes --no-install-recommends ca-certificates gcc libc6-dev\n"
            "ADD toolchain.tar /usr/local/\n"
            "COPY ca-certificates.crt /etc/ssl/certs/\n"
        )
        run("docker", "build", "--tag", image, scratch, limit=PULL_LIMIT)
    return image
