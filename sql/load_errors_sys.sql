-- The newest load errors; those of this load are found by their file. They survive the ROLLBACK (redshift.md 1.7).
SELECT file_name, line_number, column_name, error_code, error_message, column_type, column_length
FROM sys_load_error_detail
WHERE start_time >= {since}
ORDER BY start_time DESC
LIMIT 50;
