"""An object store that speaks S3 over HTTP, in a process of its own."""

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_SERVER = """
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print("http://%s:%d" % server.get_host_and_port(), flush=True)
input()
"""


@contextmanager
def object_store() -> Iterator[str]:
    """Run a store that keeps everything in memory; gives its address."""
    command = [sys.executable, "-c", _SERVER]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        while line and not re.fullmatch(r"http://\S+\n", line):
            line = process.stdout.readline()
        assert line, "the object store did not start: is moto installed?"
        drain = threading.Thread(target=process.stdout.read)
        drain.start()
        try:
            yield line.strip()
        finally:
            process.kill()
            drain.join()
