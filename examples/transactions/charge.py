"""A task in Python whose effect happens exactly once: it is written in the transaction that settles the run.

    [tasks."shop.charge"]
    command = ["python3", "charge.py"]
    env = { DATABASE_URL = "postgres://…/shop" }

Should the worker or this program die before the commit, nothing has happened, and the task runs again. After the commit
all of it has. A straggler, whose task another worker has by now, is refused by `settle`, and its transaction with it.
"""

import json
import os
import sys

import psycopg

task = json.load(sys.stdin)
run = tuple(os.environ[f"UPBEAT_{name}"] for name in ("TASK_ID", "FENCE", "TOKEN"))

with psycopg.connect(os.environ["DATABASE_URL"]) as connection, connection.cursor() as cursor:
    cursor.execute(
        "update accounts set cents = accounts.cents - orders.cents from orders"
        " where orders.id = %s and accounts.id = orders.account",
        (task["order"],),
    )
    # Last of all: until the commit, workers may wait for this.
    cursor.execute("select upbeat.settle(%s, %s, %s, '\"charged\"')", run)
