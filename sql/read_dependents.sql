-- Views that are bound to columns of one table, with the columns. Views WITH NO SCHEMA BINDING depend on nothing.
SELECT DISTINCT a.attname, vn.nspname, v.relname
FROM pg_catalog.pg_depend AS d
JOIN pg_catalog.pg_rewrite AS r ON r.oid = d.objid
JOIN pg_catalog.pg_class AS v ON v.oid = r.ev_class
JOIN pg_catalog.pg_namespace AS vn ON vn.oid = v.relnamespace
JOIN pg_catalog.pg_class AS c ON c.oid = d.refobjid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = d.refobjsubid
WHERE n.nspname = {schema} AND c.relname = {table} AND v.oid <> c.oid
ORDER BY 1, 2, 3;
