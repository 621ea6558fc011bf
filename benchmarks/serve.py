"""``python -m benchmarks.serve TARGET PORT``: any WSGI app under the issuer's own server settings."""

from __future__ import annotations

import sys

WORKERS = 1
THREADS = 8
# names the file into which a worker writes its background thread's id
JOBS_FILE = "BENCHMARK_JOBS_FILE"

if __name__ == "__main__":
    # here alone: a worker imports this module too, and the floor's has no use for the issuer
    from authserver.cli.serve import server

    served = server("127.0.0.1", int(sys.argv[2]), WORKERS, THREADS)
    served.target = sys.argv[1]
    served.serve()
