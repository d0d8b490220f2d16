"""Reads objects with DuckDB and prints a checksum of what it understood: the second reader of the dialect.

Arguments: NULL marker, then the objects.
"""

import sys

import duckdb

marker, *objects = sys.argv[1:]
columns = ["op", "incarnation", "part", "off", "seq", "ts", "unchanged", "id", "station", "reading", "price", "day", "at", "flag", "kind"]
rows = duckdb.read_csv(
    objects, header=False, delimiter=",", quotechar='"', escapechar='"', na_values=marker, names=columns, all_varchar=True
)
query = """
    SELECT count(*), count(DISTINCT id::BIGINT), sum(id::BIGINT), sum(reading::DOUBLE), sum(price::DECIMAL(38, 3)),
           min(day::DATE), max(replace("at", '+00', '')::TIMESTAMP), count(*) FILTER (flag IS NULL), count(*) FILTER (station = ''),
           count(*) FILTER (station = chr(92) || 'N'), count(*) FILTER (contains(station, chr(10))), count(*) FILTER (kind = 'COLD')
    FROM rows
"""
print("|".join(str(value) for value in duckdb.query(query).fetchall()[0]))
