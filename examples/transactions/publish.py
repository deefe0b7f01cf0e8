"""Publishes a task in the transaction that it belongs to, with nothing but a Postgres client.

    python3 publish.py postgres://…/shop

The order and the task to charge it are committed together, or neither is.
"""

import sys

import psycopg
from psycopg.types.json import Jsonb

with psycopg.connect(sys.argv[1]) as connection, connection.cursor() as cursor:
    cursor.execute("insert into orders (account, cents) values (1, 250) returning id")
    (order,) = cursor.fetchone()
    cursor.execute(
        "select upbeat.publish('shop.charge', %s, dedup_id => %s)",
        (Jsonb({"order": order}), f"order-{order}"),
    )
    # One report of all orders, an hour after the last of them: this one takes the place of one that waits.
    cursor.execute(
        "select upbeat.publish('shop.report', delay => '1 hour', unique_key => 'report', replace => true)"
    )
    # Leaving the block commits; an exception rolls back, and nothing was published.
