"""Archives of npm's packages, fetched by npm itself: the user's registry, token and proxy are its affair.

A machine without npm has no such source. The tarball is only read (``packages.py``): nothing is installed, and no
script runs.
"""

import shutil
from pathlib import Path

from heisenberg.runner.catalog.download import SourceUnavailable
from heisenberg.runner.catalog.index_client import run_client
from heisenberg.runner.catalog.progress import Progress


def archive(requirement: str, parts: Path, timeout_s: float, progress: Progress) -> Path:
    """The tarball of *requirement* (``kokoro-js@1.2.1``): fetched now, or there from an earlier attempt.

    Args:
        parts: folder for archives.
        timeout_s: longest silence of the registry.
    Raises: SourceUnavailable.
    """
    path = parts / f"{requirement.replace('/', '-')}.tgz"
    if path.exists():
        return path
    program = shutil.which("npm")
    if program is None:
        raise SourceUnavailable("npm is not installed")
    folder = parts / "npm"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    progress.start(requirement, 0)
    # Its cache goes under the folder that is watched, and away with it; retries would hide that nobody answers.
    options = ["--pack-destination", str(folder), "--cache", str(parts / "tmp" / "cache"), "--ignore-scripts"]
    options += ["--fetch-retries", "0", "--fetch-timeout", str(max(1, round(timeout_s)) * 1000)]
    run_client("npm", [program, "pack", *options, requirement], parts, timeout_s, progress)
    tarballs = list(folder.glob("*.tgz"))
    if len(tarballs) != 1:
        raise SourceUnavailable(f"npm delivered no archive of {requirement}")
    progress.done()
    return tarballs[0].rename(path)
