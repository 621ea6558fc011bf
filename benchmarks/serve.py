"""``python -m benchmarks.serve TARGET PORT``: any WSGI app under the issuer's own server settings."""

from __future__ import annotations

import sys

from authserver.cli.serve import server

WORKERS = 1
THREADS = 8
# names the file into which a worker writes its background thread's id
JOBS_FILE = "BENCHMARK_JOBS_FILE"

if __name__ == "__main__":
    served = server("127.0.0.1", int(sys.argv[2]), WORKERS, THREADS)
    served.target = sys.argv[1]
    served.serve()
