"""Measures Celery on the work that OpsConductor's own benchmarks do: tasks that do
nothing. Prints one JSON object a line. REDIS_SOCKET names the server's socket; a
worker has to run."""

import json
import os
import sys
import time

import celery
from celery import chain
from noop import noop

SETTINGS = "prefork worker, %s processes, prefetch 64, results kept in Redis" % os.environ["CELERY_PROCESSES"]


def say(name, steps, seconds, **more):
    line = {"peer": "Celery", "version": celery.__version__, "name": name, "steps": steps, "seconds": seconds, "settings": SETTINGS}
    print(json.dumps(dict(line, **more)), flush=True)


def main():
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    noop.delay().get(timeout=60)  # warms up
    began = time.time()
    results = [noop.delay(i) for i in range(n)]
    for r in results:
        r.get(timeout=120)
    took = time.time() - began
    say("independent", n, took, steps_per_s=n / took)
    chains, links, all_ = 20, 10, []
    for _ in range(chains):
        began = time.time()
        chain(*[noop.s(1)] + [noop.s() for _ in range(links - 1)])().get(timeout=120)
        all_.append((time.time() - began) / links * 1000)
    all_.sort()
    say("chain", chains * links, 0, ms_per_step_p50=all_[len(all_) // 2])


main()
