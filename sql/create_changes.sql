-- Every change that redshift-spolt made to the columns of one target table, from CREATE TABLE on. A row is written before its statement is
-- run: inside the load's transaction where the statement can run there, else before it.
CREATE TABLE IF NOT EXISTS {changes} (
    "changed_at" TIMESTAMP,
    "load_id" VARCHAR(64),
    "plan_id" VARCHAR(64),
    "kind" VARCHAR(32),
    "column_name" VARCHAR(127),
    "statement" VARCHAR(65535)
);
