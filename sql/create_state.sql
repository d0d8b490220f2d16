-- State of one target table (protocol rule 14): a row of kind 'lineage' per source partition, one row of kind 'table',
-- one row of kind 'order' where rows are ordered by a column, a row of kind 'barrier' per old partition of an accepted increase of their number (rule 20),
-- and a row of kind 'refresh' per partition while the table is refreshed: where that began.
-- No key is declared: Redshift would not enforce it. First rows are made under the lock instead.
CREATE TABLE IF NOT EXISTS {state} (
    "kind" VARCHAR(16) NOT NULL,
    "cluster" VARCHAR(256),
    "topic" VARCHAR(256),
    "incarnation" INTEGER,
    "partition" INTEGER,
    "next_offset" BIGINT,
    "serial" BIGINT,
    "generation" VARCHAR(64),
    "plan_id" VARCHAR(64),
    "partitions" INTEGER,
    "signal_offset" BIGINT,
    "load_id" VARCHAR(64),
    "updated_at" TIMESTAMP
);
