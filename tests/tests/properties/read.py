"""Reads objects with DuckDB: a reader of the dialect that nobody here wrote.

Reads a job a line, {"file", "marker", "meta", "columns": [[name, type]]}, and answers with a line of rows, every value as DuckDB itself
shows it once it has the column's type.
"""

import json
import sys

import duckdb

TYPES = {"SUPER": "JSON", "REAL": "FLOAT", "DOUBLE PRECISION": "DOUBLE"}


def shown(name, kind):
    column = '"' + name + '"'
    if kind.startswith("VARCHAR"):
        return column
    if kind.startswith("VARBYTE"):
        return f"lower(hex(unhex({column})))"
    kind = TYPES.get(kind, kind)
    return f"CAST(CAST({column} AS {kind}) AS VARCHAR)"


def rows(job):
    names = job["meta"] + [name for name, _ in job["columns"]]
    types = ", ".join(f"'{name}': 'VARCHAR'" for name in names)
    selected = ", ".join(shown(name, kind) for name, kind in job["columns"])
    query = f"""
        SELECT {selected} FROM read_csv(?, columns = {{{types}}}, auto_detect = false, header = false, delim = ',', quote = '"',
            escape = '"', nullstr = ?, compression = ?, parallel = false, max_line_size = 16000000, new_line = '\\n')
        ORDER BY CAST("_kafka_offset" AS BIGINT)
    """
    compression = "zstd" if job["file"].endswith(".zst") else "gzip"
    return duckdb.execute(query, [job["file"], job["marker"], compression]).fetchall()


for line in sys.stdin:
    # Into a pipe, Python would keep a short answer to itself.
    print(json.dumps(rows(json.loads(line))), flush=True)
