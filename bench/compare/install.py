"""Gets what the peers need: servers from Debian's packages, Python's from PyPI, and the compiled driver from its sources."""

import contextlib
import os
import pathlib
import shutil
import subprocess
import sys

from peers.base import Installation

HERE = pathlib.Path(__file__).resolve().parent
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "taskgrid-compare"
POLICY = pathlib.Path("/usr/sbin/policy-rc.d")


def prepare(taskgrid, modules, may_install):
    """Sees to it that what these peers need is there, as far as it can be had. Each peer looks for its own afterwards."""
    installation = Installation(
        taskgrid=taskgrid.resolve(),
        driver=CACHE / "load" / "release" / "taskgrid-compare-load",
        environment=CACHE / "environment",
    )
    packages = sorted({name for module in modules for system in module.SYSTEMS for name in system.packages})
    if may_install:
        install_packages([name for name in packages if not is_installed(name)])
        make_environment(installation.environment)
    build_driver()
    return installation


def build_driver():
    print("building the driver", flush=True)
    command = ["cargo", "build", "--quiet", "--release", "--locked", f"--manifest-path={HERE}/load/Cargo.toml"]
    if subprocess.run([*command, f"--target-dir={CACHE}/load"], check=False).returncode != 0:
        sys.exit("the driver cannot be built")


def is_installed(package):
    if not shutil.which("dpkg-query"):
        return False
    query = ["dpkg-query", "--show", "--showformat=${db:Status-Status}", package]
    ended = subprocess.run(query, capture_output=True, text=True, check=False)
    return ended.stdout == "installed"


def install_packages(packages):
    """Debian starts what it installs. Here nothing is started, and nothing will be with the machine."""
    if not packages:
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        print(f"not installed, and needs root on Debian: {', '.join(packages)}", flush=True)
        return
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with services_stay_off():
        subprocess.run(["apt-get", "update", "-qq"], env=environment, check=False)
        for package in packages:
            print(f"installing {package} by apt-get", flush=True)
            command = ["apt-get", "install", "--yes", "-qq", "--no-install-recommends", package]
            ended = subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=False)
            if ended.returncode != 0:
                print(f"{package} could not be installed", flush=True)
            elif shutil.which("systemctl"):
                subprocess.run(["systemctl", "disable", "--quiet", package], stderr=subprocess.DEVNULL, check=False)


@contextlib.contextmanager
def services_stay_off():
    """Debian's own switch for that: packages ask this program before they start a service."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n", encoding="ascii")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink()


def make_environment(environment):
    """Of Python, with what requirements.txt names; made anew when that changes."""
    requirements = (HERE / "requirements.txt").read_text(encoding="utf-8")
    stamp = environment / "requirements.txt"
    if stamp.exists() and stamp.read_text(encoding="utf-8") == requirements:
        return
    print(f"installing from PyPI into {environment}: {' '.join(wanted(requirements))}", flush=True)
    made = subprocess.run([sys.executable, "-m", "venv", "--clear", environment], check=False)
    if made.returncode != 0:
        print("Python makes no environments here; on Debian that is the package python3-venv", flush=True)
        return
    # Each alone, so that one that cannot be had leaves the others.
    pip = [environment / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check"]
    failed = [name for name in wanted(requirements) if subprocess.run([*pip, name], check=False).returncode != 0]
    if failed:
        print(f"could not be installed: {', '.join(failed)}", flush=True)
    else:
        stamp.write_text(requirements, encoding="utf-8")


def wanted(requirements):
    return [line for line in requirements.splitlines() if line and not line.startswith("#")]
