-- The same on provisioned clusters without the SYS views.
SELECT filename, line_number, colname, err_code, err_reason, type, col_length
FROM stl_load_errors
WHERE starttime >= {since}
ORDER BY starttime DESC
LIMIT 50;
