-- Every claim that was applied to one target table, by which load (protocol rule 14).
CREATE TABLE IF NOT EXISTS {ledger} (
    "cluster" VARCHAR(256),
    "topic" VARCHAR(256),
    "incarnation" INTEGER,
    "partition" INTEGER,
    "kind" VARCHAR(16),
    "start_offset" BIGINT,
    "next_offset" BIGINT,
    "object_key" VARCHAR(1024),
    "sha256" VARCHAR(64),
    "row_count" BIGINT,
    "load_id" VARCHAR(64),
    "applied_at" TIMESTAMP
);
