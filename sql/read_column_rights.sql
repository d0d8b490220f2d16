-- Rights that were granted on single columns of one table.
SELECT column_name, privilege_type, identity_name, identity_type
FROM svv_column_privileges
WHERE namespace_name = {schema} AND relation_name = {table}
ORDER BY column_name, privilege_type, identity_name;
