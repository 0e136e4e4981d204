"""A service that a script starts, watches and ends."""

import atexit
import http.client
import json
import re
import signal
import subprocess
import threading
import time
from pathlib import Path


class Service:
    """`rerank serve` on a free port, or another command that prints `listening on http://HOST:PORT`."""

    def __init__(self, command: list, name: str = "rerank", environment: dict | None = None, patience: float = 300):
        self.name = name
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [str(part) for part in command], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env=environment
        )
        # A script that ends with an error leaves no service behind.
        atexit.register(self.process.kill)
        self.host, self.port = "127.0.0.1", 0
        threading.Thread(target=self._read_log, daemon=True).start()
        self._wait(patience)

    def _read_log(self) -> None:
        for line in self.process.stderr:
            self.lines.append(line)
            if address := re.search(r"listening on http://([^:/]+|\[[^]]+\]):(\d+)", line):
                self.host, self.port = address[1], int(address[2])

    def _wait(self, patience: float) -> None:
        until = time.monotonic() + patience
        while time.monotonic() < until and self.process.poll() is None:
            if self.port and self._is_ready():
                return
            time.sleep(0.05)
        self.process.kill()
        raise SystemExit(f"{self.name} was not ready in {patience:.0f} s:\n{''.join(self.lines)}")

    def _is_ready(self) -> bool:
        try:
            return self.get("/health")[0] == 200
        except OSError:
            return False

    def get(self, path: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=30)
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read()
        connection.close()
        return response.status, body

    def post(self, path: str, value, timeout: float = 120) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=timeout)
        connection.request("POST", path, json.dumps(value), {"Content-Type": "application/json"})
        response = connection.getresponse()
        body = response.read()
        connection.close()
        return response.status, body

    def is_alive(self) -> bool:
        return self.process.poll() is None

    def resident(self) -> int:
        """Bytes of memory of the process at this moment, zero where the system does not state them."""
        try:
            status = Path(f"/proc/{self.process.pid}/status").read_text()
        except OSError:
            return 0
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        return int(found[1]) * 1024 if found else 0

    def processor_seconds(self) -> float:
        """Seconds that the process has computed so far."""
        try:
            fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return 0.0
        return (int(fields[11]) + int(fields[12])) / 100

    def metrics(self) -> dict[str, float]:
        """The service's metrics by their names with labels."""
        status, body = self.get("/metrics")
        if status != 200:
            return {}
        lines = (line.rpartition(" ") for line in body.decode().splitlines() if line and not line.startswith("#"))
        return {name: float(value) for name, _, value in lines}

    def stop(self) -> int:
        """Ends the service as a supervisor does, and gives its status."""
        if self.is_alive():
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()
