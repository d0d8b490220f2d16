-- The application name of a live session; process ids are used again, so the newest log entry counts.
SELECT TRIM(application_name)
FROM stl_connection_log
WHERE pid = {pid} AND event = 'initiating session'
ORDER BY recordtime DESC
LIMIT 1;
