"""A Celery application with one task that does nothing, on the Redis of REDIS_SOCKET."""

import os

from celery import Celery

redis = "redis+socket://" + os.environ["REDIS_SOCKET"]
app = Celery("noop", broker=redis + "?virtual_host=0", backend=redis + "?virtual_host=1")
app.conf.update(worker_prefetch_multiplier=64, task_acks_late=False, worker_hijack_root_logger=False)


@app.task
def noop(_=None):
    return {}
