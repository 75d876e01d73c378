"""Builds the C programs, and runs the load generator ``load.c`` against a server."""

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.benchmarks.measure import GENERATOR_CORE, Figures, on_core
from tests.benchmarks.peers import Server

HERE = Path(__file__).parent
COMPILE_SECONDS = 60
# How ``load.c`` is compiled with TLS; it needs OpenSSL's headers (Debian: libssl-dev).
TLS_FLAGS = ("-DWITH_TLS", "-lssl", "-lcrypto")
# Seconds beyond a run's own limit before it is killed.
GRACE_SECONDS = 15


class NoCompilerError(Exception):
    """There is no C compiler, or it failed; the text is for the user."""


def build(name: str, *flags: str) -> Path:
    """The program made of ``name.c``: compiled into the user's cache unless it is there already.

    `flags` are the compiler's. Raises `NoCompilerError`.
    """
    source = HERE / f"{name}.c"
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise NoCompilerError("The benchmarks need a C compiler (cc, gcc or clang).")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "chatservice-benchmarks"
    made_of = source.read_bytes() + " ".join(flags).encode()
    program = folder / f"{name}-{hashlib.sha256(made_of).hexdigest()[:16]}"
    if program.exists():
        return program
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        built = Path(temporary, name)
        command = [compiler, "-O2", "-o", str(built), str(source), *flags]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=COMPILE_SECONDS, check=False
        )
        if done.returncode:
            raise NoCompilerError(f"{' '.join(command)} failed:\n{done.stderr}")
        built.replace(program)
    return program


def run(mode: str, server: Server, limit: float, **options: float) -> Figures:
    """Run ``load.c`` in `mode` against `server` for `limit` seconds at most.

    The options and the figures that come back are described in ``load.c``. Every delivery has
    been checked; if one was wrong, or anything else went wrong, there is only "error".
    """
    program = build("load", *(TLS_FLAGS if server.tls else ()))
    command = [str(program), mode, server.dialect, str(server.port), str(server.pid)]
    options |= {"limit": limit, "tls": int(server.tls), "tags": int(server.tags)}
    command += [f"{name}={value}" for name, value in options.items()]
    with on_core(GENERATOR_CORE):
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, process_group=0
        )
    try:
        output, _ = process.communicate(timeout=limit + GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        return {"error": f"the generator was not done after {limit + GRACE_SECONDS} s"}
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    try:
        figures: Figures = json.loads(output)
    except ValueError:
        return {"error": f"the generator ended with {process.returncode}: {output[-200:]!r}"}
    return figures
