-- One row per start of a loader: its serial says which of two loaders is older, without a clock (protocol rule 18).
CREATE TABLE IF NOT EXISTS {loaders} (
    "target" VARCHAR(256) NOT NULL,
    "serial" BIGINT NOT NULL,
    "started_at" TIMESTAMP
);
