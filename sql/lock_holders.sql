-- Sessions that hold a lock on one table.
SELECT DISTINCT t.pid
FROM svv_transactions AS t
JOIN pg_class AS c ON c.oid = t.relation
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = {schema} AND c.relname = {table} AND t.granted;
