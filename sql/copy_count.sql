-- Rows of this session's last COPY; the command tag is not reliable (redshift.md 1.7).
SELECT pg_last_copy_count();
