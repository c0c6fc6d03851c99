"""A report by SQL. The payload is {"database": the path of an SQLite file with a table `sales`, "month": "2026-10"}."""

import sqlite3

import taskgrid

REPORT = """
    select country, count(*) as sales, sum(cents) as cents, max(cents) as largest
    from sales
    where day >= :month || '-01' and day < date(:month || '-01', '+1 month')
    group by country
    order by cents desc
"""


def handle(payload):
    try:
        # Opened for reading, so that a wrong path makes no empty file.
        database = sqlite3.connect(f"file:{payload['database']}?mode=ro", uri=True)
        database.row_factory = sqlite3.Row
        rows = database.execute(REPORT, {"month": payload["month"]}).fetchall()
    except KeyError as missing:
        raise taskgrid.Permanent(f"the payload has no {missing}")
    return [dict(row) for row in rows]
