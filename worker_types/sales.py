"""Sums a CSV of sales by country: the payload is the CSV text, with the columns `country` and `amount`."""

import csv
import io


def handle(payload):
    totals = {}
    for row in csv.DictReader(io.StringIO(payload)):
        totals[row["country"]] = totals.get(row["country"], 0) + float(row["amount"])
    return dict(sorted(totals.items(), key=lambda entry: -entry[1]))
