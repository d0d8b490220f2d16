-- Tables, functions and views that Redshift has and PostgreSQL has not. Run once per database, after types.sql, in the same transaction.
-- Views stand in pg_catalog because clients name them there or without a schema; a superuser may put them there with this setting:
SET LOCAL allow_system_table_mods = on;

CREATE TABLE redshift_local.installed (version int NOT NULL);
CREATE SEQUENCE redshift_local.query_id START 1000;

-- Names longer than PostgreSQL's 63 bytes are stored under a hashed alias.
CREATE TABLE redshift_local.long_name (alias text PRIMARY KEY, name text NOT NULL);

-- What Redshift remembers of a table and PostgreSQL does not: keys that nobody enforces, encodings, distribution and sort keys.
CREATE TABLE redshift_local.column_note (
  relid oid NOT NULL, column_name name NOT NULL, is_key boolean NOT NULL DEFAULT false, encoding text NOT NULL DEFAULT '',
  distkey boolean NOT NULL DEFAULT false, sortkey int NOT NULL DEFAULT 0, PRIMARY KEY (relid, column_name));

CREATE TABLE redshift_local.load_error (
  user_id int NOT NULL, query_id bigint NOT NULL, transaction_id bigint NOT NULL, session_id int NOT NULL, database_name text NOT NULL,
  table_id int NOT NULL, start_time timestamp NOT NULL, file_name text NOT NULL, line_number bigint NOT NULL, column_name text NOT NULL,
  column_type text NOT NULL, column_length text NOT NULL, position int NOT NULL, error_code int NOT NULL, error_message text NOT NULL,
  raw_line text NOT NULL, raw_field_value text NOT NULL);

CREATE FUNCTION redshift_local.real_name(stored name) RETURNS text LANGUAGE sql STABLE AS
  $$ SELECT COALESCE((SELECT l.name FROM redshift_local.long_name l WHERE l.alias = stored::text), stored::text) $$;

CREATE FUNCTION redshift_local.type_name(type_id oid) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT CASE type_id
    WHEN 'redshift_local."varchar"'::regtype THEN 'character varying'
    WHEN 'redshift_local.varbyte'::regtype THEN 'varbyte'
    WHEN 'json'::regtype THEN 'super'
    WHEN 'bpchar'::regtype THEN 'character'
    WHEN 'text'::regtype THEN 'character varying'
    ELSE format_type(type_id, NULL) END $$;

-- Declared length of a column in bytes; NULL for types without one.
CREATE FUNCTION redshift_local.type_length(type_id oid, type_modifier int4) RETURNS int LANGUAGE sql STABLE AS $$
  SELECT CASE
    WHEN type_id IN ('redshift_local."varchar"'::regtype, 'varchar'::regtype, 'text'::regtype)
      THEN CASE type_modifier WHEN -1 THEN 65535 WHEN 1000260 THEN 256 ELSE type_modifier - 4 END
    WHEN type_id = 'bpchar'::regtype THEN CASE type_modifier WHEN -1 THEN 256 ELSE type_modifier - 4 END
    WHEN type_id = 'redshift_local.varbyte'::regtype THEN CASE type_modifier WHEN -1 THEN 64000 ELSE type_modifier END END $$;

CREATE FUNCTION redshift_local.full_type_name(type_id oid, type_modifier int4) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT CASE
    WHEN redshift_local.type_length(type_id, type_modifier) IS NOT NULL
      THEN redshift_local.type_name(type_id) || '(' || redshift_local.type_length(type_id, type_modifier) || ')'
    WHEN type_id = 'json'::regtype THEN 'super'
    ELSE format_type(type_id, type_modifier) END $$;

CREATE FUNCTION redshift_local.numeric_precision(type_id oid, type_modifier int4) RETURNS int LANGUAGE sql STABLE AS $$
  SELECT CASE type_id WHEN 'int2'::regtype THEN 16 WHEN 'int4'::regtype THEN 32 WHEN 'int8'::regtype THEN 64 WHEN 'float4'::regtype THEN 24
    WHEN 'float8'::regtype THEN 53 WHEN 'numeric'::regtype THEN CASE type_modifier WHEN -1 THEN 38 ELSE ((type_modifier - 4) >> 16) & 65535 END END $$;
CREATE FUNCTION redshift_local.numeric_scale(type_id oid, type_modifier int4) RETURNS int LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN type_id IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype) THEN 0
    WHEN type_id = 'numeric'::regtype THEN CASE type_modifier WHEN -1 THEN 0 ELSE (type_modifier - 4) & 2047 END END $$;

CREATE VIEW redshift_local.column_list AS
  SELECT n.nspname AS schema_stored, c.oid AS relid, c.relname, c.relkind, redshift_local.real_name(n.nspname) AS table_schema,
         redshift_local.real_name(c.relname) AS table_name, redshift_local.real_name(a.attname) AS column_name,
         a.attnum::int AS ordinal_position, pg_get_expr(d.adbin, d.adrelid) AS column_default,
         a.attnotnull, a.attname, a.atttypid, a.atttypmod,
         redshift_local.type_name(a.atttypid) AS data_type,
         redshift_local.type_length(a.atttypid, a.atttypmod) AS type_length,
         redshift_local.numeric_precision(a.atttypid, a.atttypmod) AS numeric_precision,
         redshift_local.numeric_scale(a.atttypid, a.atttypmod) AS numeric_scale
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
   WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'v', 'm', 'p')
     AND n.nspname NOT IN ('redshift_local', 'pg_toast', 'pg_catalog', 'information_schema');

CREATE VIEW pg_catalog.svv_columns AS
  SELECT current_database()::text AS table_catalog, table_schema, table_name, column_name, ordinal_position, column_default,
         CASE WHEN attnotnull THEN 'NO' ELSE 'YES' END AS is_nullable, data_type, type_length AS character_maximum_length,
         numeric_precision, CASE WHEN numeric_precision IS NOT NULL AND numeric_scale IS NULL THEN 2 WHEN numeric_precision IS NOT NULL THEN 10 END AS numeric_precision_radix,
         numeric_scale, CASE WHEN data_type LIKE 'time%' THEN 6 END AS datetime_precision, NULL::text AS interval_type, NULL::text AS interval_precision,
         NULL::text AS character_set_catalog, NULL::text AS character_set_schema, NULL::text AS character_set_name,
         NULL::text AS collation_catalog, NULL::text AS collation_schema, NULL::text AS collation_name, NULL::text AS domain_name, ''::text AS remarks
    FROM redshift_local.column_list;

CREATE VIEW redshift_local.information_schema_columns AS
  SELECT table_catalog, table_schema, table_name, column_name, ordinal_position, column_default, is_nullable, data_type, character_maximum_length,
         NULL::int AS character_octet_length, numeric_precision, numeric_precision_radix, numeric_scale, datetime_precision
    FROM pg_catalog.svv_columns;

CREATE VIEW pg_catalog.svv_column_privileges AS
  SELECT l.table_schema AS namespace_name, l.table_name AS relation_name, l.column_name, lower(p.privilege_type) AS privilege_type,
         p.grantee::int AS identity_id, COALESCE(r.rolname::text, 'public') AS identity_name,
         CASE WHEN p.grantee = 0 THEN 'public' WHEN r.rolcanlogin THEN 'user' ELSE 'role' END AS identity_type, p.is_grantable AS admin_option
    FROM redshift_local.column_list l JOIN pg_attribute a ON a.attrelid = l.relid AND a.attname = l.attname
    CROSS JOIN LATERAL aclexplode(a.attacl) p LEFT JOIN pg_roles r ON r.oid = p.grantee;

CREATE VIEW pg_catalog.svv_tables AS
  SELECT current_database()::text AS table_catalog, redshift_local.real_name(n.nspname) AS table_schema, redshift_local.real_name(c.relname) AS table_name,
         CASE WHEN c.relkind = 'v' THEN 'VIEW' WHEN c.relpersistence = 't' THEN 'LOCAL TEMPORARY' ELSE 'BASE TABLE' END AS table_type, ''::text AS remarks
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE c.relkind IN ('r', 'v') AND n.nspname NOT IN ('redshift_local', 'pg_toast', 'pg_catalog', 'information_schema');

CREATE VIEW pg_catalog.pg_table_def AS
  SELECT l.table_schema AS schemaname, l.table_name AS tablename, l.column_name AS "column", redshift_local.full_type_name(l.atttypid, l.atttypmod) AS type,
         COALESCE(NULLIF(k.encoding, ''), 'none') AS encoding, COALESCE(k.distkey, false) AS distkey, COALESCE(k.sortkey, 0) AS sortkey, l.attnotnull AS "notnull"
    FROM redshift_local.column_list l LEFT JOIN redshift_local.column_note k ON k.relid = l.relid AND k.column_name = l.attname
   WHERE l.relkind = 'r' AND (pg_table_is_visible(l.relid) OR l.schema_stored = ANY (current_schemas(true)));

CREATE FUNCTION redshift_local.count_rows(relid oid) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
DECLARE total bigint;
BEGIN EXECUTE format('SELECT count(*) FROM %s', relid::regclass) INTO total; RETURN total; END $$;

-- Like Redshift's view it does not show tables without rows. Sizes are megabytes.
CREATE VIEW pg_catalog.svv_table_info AS
  SELECT * FROM (
    SELECT current_database()::text AS database, redshift_local.real_name(n.nspname) AS schema, c.oid::int AS table_id,
           redshift_local.real_name(c.relname) AS "table", 'N'::text AS encoded, 'AUTO(ALL)'::text AS diststyle, NULL::text AS sortkey1,
           0 AS max_varchar, NULL::text AS sortkey1_enc, 0 AS sortkey_num, ceil(pg_table_size(c.oid) / 1048576.0)::bigint AS size,
           0::numeric(10, 4) AS pct_used, 0::bigint AS empty, 0::numeric(5, 2) AS unsorted, 0::numeric(5, 2) AS stats_off,
           redshift_local.count_rows(c.oid)::numeric(38, 0) AS tbl_rows, NULL::numeric(19, 2) AS skew_sortkey1, NULL::numeric(19, 2) AS skew_rows,
           redshift_local.count_rows(c.oid)::numeric(38, 0) AS estimated_visible_rows
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND n.nspname NOT IN ('redshift_local', 'pg_toast', 'pg_catalog', 'information_schema')) t
   WHERE tbl_rows > 0;

CREATE VIEW pg_catalog.sys_load_error_detail AS
  SELECT user_id, query_id, transaction_id, session_id, database_name::char(64) AS database_name, table_id, start_time, file_name::char(256) AS file_name,
         line_number, column_name::char(127) AS column_name, column_type::char(10) AS column_type, column_length::char(10) AS column_length,
         position, error_code, error_message::char(512) AS error_message
    FROM redshift_local.load_error;
CREATE VIEW pg_catalog.stl_load_errors AS
  SELECT user_id AS userid, 0 AS slice, table_id AS tbl, start_time AS starttime, session_id AS session, query_id AS query, file_name::char(256) AS filename,
         line_number, column_name::char(127) AS colname, column_type::char(10) AS type, column_length::char(10) AS col_length, position,
         raw_line::char(1024) AS raw_line, raw_field_value::char(1024) AS raw_field_value, error_code AS err_code, error_message::char(100) AS err_reason,
         0 AS is_partial, 0::bigint AS start_offset
    FROM redshift_local.load_error;

CREATE VIEW pg_catalog.stv_slices AS SELECT 0 AS node, s AS slice, s AS localslice, 'D'::text AS type FROM (VALUES (0), (1)) AS v(s);
CREATE VIEW pg_catalog.stv_db_isolation_level AS
  SELECT current_database()::char(128) AS db_name, 'Snapshot Isolation'::char(20) AS isolation_level;

-- Live sessions. The columns are Redshift's, as far as PostgreSQL can fill them.
CREATE VIEW redshift_local.session_list AS
  SELECT a.*, (a.datid = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())) AS here
    FROM pg_stat_activity a WHERE a.backend_type = 'client backend' AND a.application_name <> 'redshift-local';
CREATE VIEW pg_catalog.stv_sessions AS
  SELECT (backend_start AT TIME ZONE 'UTC')::timestamp AS starttime, pid AS process, usename::char(50) AS user_name, datname::char(50) AS db_name, 0 AS timeout_sec
    FROM redshift_local.session_list WHERE here;
CREATE VIEW pg_catalog.stv_recents AS
  SELECT usesysid::int AS userid, (CASE WHEN state = 'active' THEN 'Running' ELSE 'Done' END)::char(20) AS status, (query_start AT TIME ZONE 'UTC')::timestamp AS starttime,
         (extract(epoch FROM clock_timestamp() - query_start) * 1000000)::bigint::int8 AS duration, usename::char(50) AS user_name, datname::char(50) AS db_name,
         query::char(600) AS query, CASE WHEN state = 'active' THEN pid ELSE -1 END AS pid
    FROM redshift_local.session_list WHERE here;
CREATE VIEW pg_catalog.stl_connection_log AS
  SELECT 'initiating session'::char(50) AS event, (backend_start AT TIME ZONE 'UTC')::timestamp AS recordtime, '127.0.0.1'::char(45) AS remotehost, ''::char(32) AS remoteport, pid,
         datname::char(50) AS dbname, usename::char(50) AS username, 'password'::char(32) AS authmethod, 0::bigint AS duration, ''::char(50) AS sslversion,
         ''::char(128) AS sslcipher, 0 AS mtu, ''::char(64) AS sslcompression, ''::char(64) AS sslexpansion, ''::char(36) AS iamauthguid,
         application_name::char(250) AS application_name, ''::char(64) AS os_version, ''::char(64) AS driver_version
    FROM redshift_local.session_list WHERE here;
CREATE VIEW redshift_local.pg_stat_activity AS
  SELECT datid, datname, pid AS procpid, usesysid, usename, query AS current_query, query_start FROM redshift_local.session_list WHERE here;
CREATE VIEW pg_catalog.svv_transactions AS
  SELECT a.usename::text AS txn_owner, a.datname::text AS txn_db, COALESCE(a.backend_xid, a.backend_xmin)::text::bigint AS xid, a.pid,
         (a.xact_start AT TIME ZONE 'UTC')::timestamp AS txn_start, l.mode AS lock_mode,
         l.locktype AS lockable_object_type, l.relation::int AS relation, l.granted
    FROM redshift_local.session_list a JOIN pg_locks l ON l.pid = a.pid WHERE a.xact_start IS NOT NULL AND a.here;

-- Functions. The two that report on COPY get their value from the session, written into the call.
CREATE FUNCTION pg_catalog.pg_last_copy_count(value bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$ SELECT value $$;
CREATE FUNCTION pg_catalog.pg_last_copy_id(value int) RETURNS int LANGUAGE sql IMMUTABLE AS $$ SELECT value $$;
CREATE FUNCTION redshift_local.version() RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT 'PostgreSQL 8.0.2 on i686-pc-linux-gnu, compiled by GCC gcc (GCC) 3.4.2 20041017 (Red Hat 3.4.2-6.fc3), Redshift 1.0.0'::text $$;
CREATE FUNCTION redshift_local.sysdate() RETURNS timestamp LANGUAGE sql STABLE AS $$ SELECT transaction_timestamp() AT TIME ZONE 'UTC' $$;
CREATE FUNCTION pg_catalog.getdate() RETURNS timestamp LANGUAGE sql STABLE AS $$ SELECT date_trunc('second', statement_timestamp()) AT TIME ZONE 'UTC' $$;
CREATE FUNCTION pg_catalog.len(value text) RETURNS int LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'textlen';
CREATE FUNCTION pg_catalog.len(value bpchar) RETURNS int LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'bpcharlen';
CREATE FUNCTION pg_catalog.json_parse(value text) RETURNS json LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$ SELECT value::json $$;
CREATE FUNCTION pg_catalog.json_serialize(value json) RETURNS redshift_local."varchar" LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$ SELECT value::text::redshift_local."varchar" $$;
CREATE FUNCTION pg_catalog.is_valid_json(value text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN RETURN json_typeof(value::json) IN ('object', 'array'); EXCEPTION WHEN invalid_text_representation THEN RETURN false; END $$;
CREATE FUNCTION pg_catalog.to_varbyte(value text, format text) RETURNS redshift_local.varbyte LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN
  CASE lower(format)
    WHEN 'hex' THEN RETURN decode(value, 'hex')::redshift_local.varbyte;
    WHEN 'base64' THEN RETURN decode(value, 'base64')::redshift_local.varbyte;
    WHEN 'utf8', 'utf-8' THEN RETURN convert_to(value, 'UTF8')::redshift_local.varbyte;
    ELSE RAISE EXCEPTION 'redshift-local: not emulated: TO_VARBYTE format %', format USING ERRCODE = '0A000';
  END CASE;
END $$;
CREATE FUNCTION pg_catalog.from_varbyte(value redshift_local.varbyte, format text) RETURNS redshift_local."varchar" LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN
  CASE lower(format)
    WHEN 'hex' THEN RETURN encode(value::bytea, 'hex')::redshift_local."varchar";
    WHEN 'base64' THEN RETURN encode(value::bytea, 'base64')::redshift_local."varchar";
    WHEN 'utf8', 'utf-8' THEN RETURN convert_from(value::bytea, 'UTF8')::redshift_local."varchar";
    ELSE RAISE EXCEPTION 'redshift-local: not emulated: FROM_VARBYTE format %', format USING ERRCODE = '0A000';
  END CASE;
END $$;
CREATE FUNCTION pg_catalog.from_hex(value text) RETURNS redshift_local.varbyte LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT decode(value, 'hex')::redshift_local.varbyte $$;
CREATE FUNCTION pg_catalog.to_hex(value redshift_local.varbyte) RETURNS redshift_local."varchar" LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT encode(value::bytea, 'hex')::redshift_local."varchar" $$;

-- CREATE TABLE ... AS: PostgreSQL's text columns become VARCHAR. Nothing is rewritten, since the bytes are the same.
CREATE FUNCTION redshift_local.retype_columns(relation regclass) RETURNS void LANGUAGE plpgsql AS $$
DECLARE c record;
BEGIN
  FOR c IN SELECT attname, atttypid, atttypmod FROM pg_attribute WHERE attrelid = relation AND attnum > 0 AND NOT attisdropped
              AND (atttypid IN ('text'::regtype, 'varchar'::regtype, 'name'::regtype, 'bytea'::regtype)
                   OR (atttypid = 'redshift_local."varchar"'::regtype AND atttypmod = 1000260)) LOOP
    EXECUTE format('ALTER TABLE %s ALTER COLUMN %I TYPE redshift_local.%s', relation, c.attname,
                   CASE WHEN c.atttypid = 'bytea'::regtype THEN 'varbyte' WHEN c.atttypmod = 1000260 THEN '"varchar"(256)' ELSE '"varchar"' END);
  END LOOP;
END $$;

-- ALTER TABLE ... ALTER COLUMN ... TYPE VARCHAR(n): the caller holds the table's exclusive lock. Only the declared length changes, so no row is rewritten.
CREATE FUNCTION redshift_local.alter_varchar(relation regclass, wanted name, bytes_max int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  c record;
  longest int;
BEGIN
  SELECT a.*, COALESCE(k.is_key, false) AS is_key, COALESCE(k.encoding, '') AS encoding INTO c
    FROM pg_attribute a LEFT JOIN redshift_local.column_note k ON k.relid = a.attrelid AND k.column_name = a.attname
   WHERE a.attrelid = relation AND a.attname = wanted AND a.attnum > 0 AND NOT a.attisdropped;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'column "%" of relation "%" does not exist', redshift_local.real_name(wanted), relation USING ERRCODE = '42703';
  ELSIF c.atttypid <> 'redshift_local."varchar"'::regtype THEN
    RAISE EXCEPTION 'ALTER TABLE ALTER COLUMN TYPE is only supported for columns of type character varying' USING ERRCODE = '0A000';
  ELSIF c.atthasdef THEN
    RAISE EXCEPTION 'cannot alter type of column "%" with a default expression', redshift_local.real_name(wanted) USING ERRCODE = '0A000';
  ELSIF c.is_key THEN
    RAISE EXCEPTION 'cannot alter type of column "%" with a primary key, unique or foreign key constraint', redshift_local.real_name(wanted) USING ERRCODE = '0A000';
  ELSIF c.encoding IN ('bytedict', 'runlength', 'text255', 'text32k') THEN
    RAISE EXCEPTION 'cannot alter type of column "%" with compression encoding %', redshift_local.real_name(wanted), c.encoding USING ERRCODE = '0A000';
  ELSIF c.atttypmod = bytes_max + 4 THEN
    RAISE EXCEPTION 'target column size should be different' USING ERRCODE = '0A000';
  ELSIF c.atttypmod = -1 OR c.atttypmod > bytes_max + 4 THEN
    EXECUTE format('SELECT max(octet_length(%I)) FROM %s', wanted, relation) INTO longest;
    IF longest > bytes_max THEN
      RAISE EXCEPTION 'cannot alter column "%" to a size of %: it holds a value of % bytes', redshift_local.real_name(wanted), bytes_max, longest USING ERRCODE = '0A000';
    END IF;
  END IF;
  UPDATE pg_attribute SET atttypmod = bytes_max + 4 WHERE attrelid = relation AND attname = wanted;
END $$;

INSERT INTO redshift_local.installed VALUES (1);
