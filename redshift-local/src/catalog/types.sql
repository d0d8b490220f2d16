-- The types that PostgreSQL does not have as Redshift has them, built from PostgreSQL's own compiled functions:
--   redshift_local."varchar"  n counts bytes; trailing blanks are kept but do not count in any comparison (as in bpchar)
--   redshift_local.varbyte    bytea with a length
-- Run once per database, under an advisory lock, by a superuser (LANGUAGE internal and base types need one).

CREATE SCHEMA IF NOT EXISTS redshift_local;

CREATE TYPE redshift_local."varchar";
CREATE FUNCTION redshift_local.varchar_in(cstring, oid, int4) RETURNS redshift_local."varchar" LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'varcharin';
CREATE FUNCTION redshift_local.varchar_out(redshift_local."varchar") RETURNS cstring LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'varcharout';
CREATE FUNCTION redshift_local.varchar_recv(internal, oid, int4) RETURNS redshift_local."varchar" LANGUAGE internal STABLE STRICT PARALLEL SAFE AS 'varcharrecv';
CREATE FUNCTION redshift_local.varchar_send(redshift_local."varchar") RETURNS bytea LANGUAGE internal STABLE STRICT PARALLEL SAFE AS 'varcharsend';
CREATE FUNCTION redshift_local.varchar_typmod_in(cstring[]) RETURNS int4 LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'varchartypmodin';
CREATE FUNCTION redshift_local.varchar_typmod_out(int4) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'varchartypmodout';
CREATE TYPE redshift_local."varchar" (
  INPUT = redshift_local.varchar_in, OUTPUT = redshift_local.varchar_out,
  RECEIVE = redshift_local.varchar_recv, SEND = redshift_local.varchar_send,
  TYPMOD_IN = redshift_local.varchar_typmod_in, TYPMOD_OUT = redshift_local.varchar_typmod_out,
  INTERNALLENGTH = VARIABLE, STORAGE = extended, CATEGORY = 'S', COLLATABLE = true);

CREATE TYPE redshift_local.varbyte;
CREATE FUNCTION redshift_local.varbyte_in(cstring) RETURNS redshift_local.varbyte LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'byteain';
CREATE FUNCTION redshift_local.varbyte_out(redshift_local.varbyte) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'byteaout';
CREATE FUNCTION redshift_local.varbyte_recv(internal) RETURNS redshift_local.varbyte LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'bytearecv';
CREATE FUNCTION redshift_local.varbyte_send(redshift_local.varbyte) RETURNS bytea LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'byteasend';
CREATE FUNCTION redshift_local.varbyte_typmod_in(cstring[]) RETURNS int4 LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'bittypmodin';
CREATE FUNCTION redshift_local.varbyte_typmod_out(int4) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'bittypmodout';
CREATE TYPE redshift_local.varbyte (
  INPUT = redshift_local.varbyte_in, OUTPUT = redshift_local.varbyte_out,
  RECEIVE = redshift_local.varbyte_recv, SEND = redshift_local.varbyte_send,
  TYPMOD_IN = redshift_local.varbyte_typmod_in, TYPMOD_OUT = redshift_local.varbyte_typmod_out,
  INTERNALLENGTH = VARIABLE, STORAGE = extended, CATEGORY = 'U');

-- Casts that only relabel.
CREATE CAST (redshift_local."varchar" AS text) WITHOUT FUNCTION AS IMPLICIT;
CREATE CAST (redshift_local."varchar" AS pg_catalog."varchar") WITHOUT FUNCTION AS ASSIGNMENT;
CREATE CAST (redshift_local."varchar" AS pg_catalog.bpchar) WITHOUT FUNCTION AS ASSIGNMENT;
CREATE CAST (text AS redshift_local."varchar") WITHOUT FUNCTION AS ASSIGNMENT;
CREATE CAST (pg_catalog."varchar" AS redshift_local."varchar") WITHOUT FUNCTION AS ASSIGNMENT;
CREATE CAST (redshift_local.varbyte AS bytea) WITHOUT FUNCTION AS IMPLICIT;
CREATE CAST (bytea AS redshift_local.varbyte) WITHOUT FUNCTION AS ASSIGNMENT;

-- CHAR loses its padding on the way to VARCHAR.
CREATE FUNCTION redshift_local.varchar_from_char(bpchar) RETURNS redshift_local."varchar" LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'rtrim1';
CREATE CAST (bpchar AS redshift_local."varchar") WITH FUNCTION redshift_local.varchar_from_char(bpchar) AS ASSIGNMENT;

-- The declared length counts bytes: an explicit cast cuts at a character's end, an assignment refuses (blanks beyond the end do not count).
CREATE FUNCTION redshift_local.varchar_overlong(value text, type_modifier int4, is_explicit bool) RETURNS redshift_local."varchar"
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
  bytes_max int := type_modifier - 4;
  kept text;
BEGIN
  IF bytes_max = 1000256 THEN
    IF octet_length(value) <= 256 THEN RETURN value::redshift_local."varchar"; END IF;
    RAISE EXCEPTION 'redshift-local: not emulated: cast to VARCHAR without a length of a value longer than 256 bytes'
      USING ERRCODE = '0A000', HINT = 'state the length in the cast';
  END IF;
  kept := left(value, bytes_max);
  WHILE octet_length(kept) > bytes_max LOOP
    kept := left(kept, greatest(length(kept) - greatest((octet_length(kept) - bytes_max) / 4, 1), 0));
  END LOOP;
  IF NOT is_explicit AND rtrim(substr(value, length(kept) + 1), ' ') <> '' THEN
    RAISE EXCEPTION 'value too long for type character varying(%)', bytes_max USING ERRCODE = '22001';
  END IF;
  RETURN kept::redshift_local."varchar";
END $$;
-- Not LANGUAGE sql: the planner would inline it, and CREATE TABLE ... AS SELECT a::varchar(5) would lose the length.
CREATE FUNCTION redshift_local.varchar_length(value redshift_local."varchar", type_modifier int4, is_explicit bool) RETURNS redshift_local."varchar"
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
  IF octet_length(value::text) <= type_modifier - 4 AND type_modifier <> 1000260 THEN RETURN value; END IF;
  RETURN redshift_local.varchar_overlong(value::text, type_modifier, is_explicit);
END $$;
CREATE CAST (redshift_local."varchar" AS redshift_local."varchar")
  WITH FUNCTION redshift_local.varchar_length(redshift_local."varchar", int4, bool) AS IMPLICIT;

CREATE FUNCTION redshift_local.varbyte_length(value redshift_local.varbyte, bytes_max int4, is_explicit bool) RETURNS redshift_local.varbyte
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
  IF octet_length(value::bytea) <= bytes_max THEN RETURN value; END IF;
  IF NOT is_explicit THEN
    RAISE EXCEPTION 'value too long for type binary varying(%)', bytes_max USING ERRCODE = '22001';
  END IF;
  RETURN substr(value::bytea, 1, bytes_max)::redshift_local.varbyte;
END $$;
CREATE CAST (redshift_local.varbyte AS redshift_local.varbyte)
  WITH FUNCTION redshift_local.varbyte_length(redshift_local.varbyte, int4, bool) AS IMPLICIT;

CREATE FUNCTION redshift_local.varbyte_from_varchar(value redshift_local."varchar") RETURNS redshift_local.varbyte
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$ SELECT pg_catalog.convert_to(value::text, 'UTF8')::redshift_local.varbyte $$;
CREATE CAST (redshift_local."varchar" AS redshift_local.varbyte) WITH FUNCTION redshift_local.varbyte_from_varchar(redshift_local."varchar");

-- Redshift has no cast from BOOLEAN to VARCHAR; without this PostgreSQL would print t and f.
CREATE FUNCTION redshift_local.varchar_from_boolean(boolean) RETURNS redshift_local."varchar" LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN RAISE EXCEPTION 'cannot cast type boolean to character varying' USING ERRCODE = '42846'; END $$;
CREATE CAST (boolean AS redshift_local."varchar") WITH FUNCTION redshift_local.varchar_from_boolean(boolean);

-- Comparison: the compiled functions of bpchar, which stop at the last non-blank.
DO $$
DECLARE
  pair record;
  op record;
  vc text := 'redshift_local."varchar"';
BEGIN
  FOR pair IN SELECT * FROM (VALUES (vc, vc), (vc, 'text'), ('text', vc), (vc, 'bpchar'), ('bpchar', vc)) AS p(l, r) LOOP
    FOR op IN SELECT * FROM (VALUES ('lt', '<', '>', '>=', 'scalarltsel', 'scalarltjoinsel'), ('le', '<=', '>=', '>', 'scalarlesel', 'scalarlejoinsel'),
                                    ('eq', '=', '=', '<>', 'eqsel', 'eqjoinsel'), ('ne', '<>', '<>', '=', 'neqsel', 'neqjoinsel'),
                                    ('ge', '>=', '<=', '<', 'scalargesel', 'scalargejoinsel'), ('gt', '>', '<', '<=', 'scalargtsel', 'scalargtjoinsel'))
                            AS o(name, sign, commutator, negator, restrict_by, join_by) LOOP
      EXECUTE format('CREATE FUNCTION redshift_local.varchar_%s(%s, %s) RETURNS boolean LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF AS %L',
                     op.name, pair.l, pair.r, 'bpchar' || op.name);
      EXECUTE format('CREATE OPERATOR pg_catalog.%s (FUNCTION = redshift_local.varchar_%s, LEFTARG = %s, RIGHTARG = %s, COMMUTATOR = OPERATOR(pg_catalog.%s), NEGATOR = OPERATOR(pg_catalog.%s), RESTRICT = %s, JOIN = %s %s)',
                     op.sign, op.name, pair.l, pair.r, op.commutator, op.negator, op.restrict_by, op.join_by,
                     CASE WHEN op.name = 'eq' THEN ', HASHES, MERGES' ELSE '' END);
    END LOOP;
    EXECUTE format('CREATE FUNCTION redshift_local.varchar_cmp(%s, %s) RETURNS int4 LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF AS %L', pair.l, pair.r, 'bpcharcmp');
  END LOOP;
END $$;

CREATE FUNCTION redshift_local.varchar_hash(redshift_local."varchar") RETURNS int4 LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'hashbpchar';
CREATE FUNCTION redshift_local.varchar_hash_extended(redshift_local."varchar", int8) RETURNS int8 LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'hashbpcharextended';
CREATE FUNCTION redshift_local.varchar_hash(text) RETURNS int4 LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'hashbpchar';
CREATE FUNCTION redshift_local.varchar_hash(bpchar) RETURNS int4 LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'hashbpchar';
CREATE FUNCTION redshift_local.varchar_sort(internal) RETURNS void LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'bpchar_sortsupport';

CREATE OPERATOR CLASS redshift_local.varchar_btree DEFAULT FOR TYPE redshift_local."varchar" USING btree AS
  OPERATOR 1 pg_catalog.<, OPERATOR 2 pg_catalog.<=, OPERATOR 3 pg_catalog.=, OPERATOR 4 pg_catalog.>=, OPERATOR 5 pg_catalog.>,
  FUNCTION 1 redshift_local.varchar_cmp(redshift_local."varchar", redshift_local."varchar"),
  FUNCTION 2 redshift_local.varchar_sort(internal);
CREATE OPERATOR CLASS redshift_local.varchar_hash DEFAULT FOR TYPE redshift_local."varchar" USING hash AS
  OPERATOR 1 pg_catalog.=,
  FUNCTION 1 redshift_local.varchar_hash(redshift_local."varchar"),
  FUNCTION 2 redshift_local.varchar_hash_extended(redshift_local."varchar", int8);

-- A VARCHAR column meets the text that a function returns, or a CHAR column: the same rule, and hash joins stay possible.
DO $$
DECLARE
  pair record;
  vc text := 'redshift_local."varchar"';
  other text;
BEGIN
  FOR pair IN SELECT * FROM (VALUES (vc, 'text'), ('text', vc), (vc, 'bpchar'), ('bpchar', vc)) AS p(l, r) LOOP
    EXECUTE format('ALTER OPERATOR FAMILY redshift_local.varchar_btree USING btree ADD OPERATOR 1 pg_catalog.< (%1$s, %2$s), OPERATOR 2 pg_catalog.<= (%1$s, %2$s), '
                || 'OPERATOR 3 pg_catalog.= (%1$s, %2$s), OPERATOR 4 pg_catalog.>= (%1$s, %2$s), OPERATOR 5 pg_catalog.> (%1$s, %2$s), '
                || 'FUNCTION 1 (%1$s, %2$s) redshift_local.varchar_cmp(%1$s, %2$s)', pair.l, pair.r);
    EXECUTE format('ALTER OPERATOR FAMILY redshift_local.varchar_hash USING hash ADD OPERATOR 1 pg_catalog.= (%1$s, %2$s)', pair.l, pair.r);
  END LOOP;
  FOREACH other IN ARRAY ARRAY['text', 'bpchar'] LOOP
    EXECUTE format('CREATE FUNCTION redshift_local.varchar_cmp_same(%1$s, %1$s) RETURNS int4 LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS %2$L', other, 'bpcharcmp');
    EXECUTE format('ALTER OPERATOR FAMILY redshift_local.varchar_hash USING hash ADD FUNCTION 1 (%1$s, %1$s) redshift_local.varchar_hash(%1$s)', other);
  END LOOP;
END $$;

-- VARBYTE compares as bytea.
DO $$
DECLARE
  op record;
BEGIN
  FOR op IN SELECT * FROM (VALUES ('lt', '<', '>', '>=', 'scalarltsel', 'scalarltjoinsel'), ('le', '<=', '>=', '>', 'scalarlesel', 'scalarlejoinsel'),
                                  ('eq', '=', '=', '<>', 'eqsel', 'eqjoinsel'), ('ne', '<>', '<>', '=', 'neqsel', 'neqjoinsel'),
                                  ('ge', '>=', '<=', '<', 'scalargesel', 'scalargejoinsel'), ('gt', '>', '<', '<=', 'scalargtsel', 'scalargtjoinsel'))
                          AS o(name, sign, commutator, negator, restrict_by, join_by) LOOP
    EXECUTE format('CREATE FUNCTION redshift_local.varbyte_%s(redshift_local.varbyte, redshift_local.varbyte) RETURNS boolean LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF AS %L',
                   op.name, 'bytea' || op.name);
    EXECUTE format('CREATE OPERATOR pg_catalog.%s (FUNCTION = redshift_local.varbyte_%s, LEFTARG = redshift_local.varbyte, RIGHTARG = redshift_local.varbyte, COMMUTATOR = OPERATOR(pg_catalog.%s), NEGATOR = OPERATOR(pg_catalog.%s), RESTRICT = %s, JOIN = %s %s)',
                   op.sign, op.name, op.commutator, op.negator, op.restrict_by, op.join_by,
                   CASE WHEN op.name = 'eq' THEN ', HASHES, MERGES' ELSE '' END);
  END LOOP;
END $$;
CREATE FUNCTION redshift_local.varbyte_cmp(redshift_local.varbyte, redshift_local.varbyte) RETURNS int4 LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF AS 'byteacmp';
CREATE FUNCTION redshift_local.varbyte_hash(redshift_local.varbyte) RETURNS int4 LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'hashvarlena';
CREATE FUNCTION redshift_local.varbyte_hash_extended(redshift_local.varbyte, int8) RETURNS int8 LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'hashvarlenaextended';
CREATE OPERATOR CLASS redshift_local.varbyte_btree DEFAULT FOR TYPE redshift_local.varbyte USING btree AS
  OPERATOR 1 pg_catalog.<, OPERATOR 2 pg_catalog.<=, OPERATOR 3 pg_catalog.=, OPERATOR 4 pg_catalog.>=, OPERATOR 5 pg_catalog.>,
  FUNCTION 1 redshift_local.varbyte_cmp(redshift_local.varbyte, redshift_local.varbyte);
CREATE OPERATOR CLASS redshift_local.varbyte_hash DEFAULT FOR TYPE redshift_local.varbyte USING hash AS
  OPERATOR 1 pg_catalog.=,
  FUNCTION 1 redshift_local.varbyte_hash(redshift_local.varbyte),
  FUNCTION 2 redshift_local.varbyte_hash_extended(redshift_local.varbyte, int8);

-- Functions that keep VARCHAR a VARCHAR, so that what they return still compares without trailing blanks.
DO $$
DECLARE
  f record;
BEGIN
  FOR f IN SELECT * FROM (VALUES
      ('lower', 'V', 'lower'), ('upper', 'V', 'upper'), ('initcap', 'V', 'initcap'),
      ('btrim', 'V', 'btrim1'), ('btrim', 'V, text', 'btrim'), ('ltrim', 'V', 'ltrim1'), ('ltrim', 'V, text', 'ltrim'),
      ('rtrim', 'V', 'rtrim1'), ('rtrim', 'V, text', 'rtrim'),
      ('substring', 'V, int4', 'text_substr_no_len'), ('substring', 'V, int4, int4', 'text_substr'),
      ('substr', 'V, int4', 'text_substr_no_len'), ('substr', 'V, int4, int4', 'text_substr'),
      ('left', 'V, int4', 'text_left'), ('right', 'V, int4', 'text_right'), ('replace', 'V, text, text', 'replace_text'),
      ('lpad', 'V, int4, text', 'lpad'), ('rpad', 'V, int4, text', 'rpad'), ('reverse', 'V', 'text_reverse'),
      ('repeat', 'V, int4', 'repeat'), ('split_part', 'V, text, int4', 'split_part'), ('translate', 'V, text, text', 'translate'))
    AS x(name, arguments, symbol) LOOP
    EXECUTE format('CREATE FUNCTION pg_catalog.%I(%s) RETURNS redshift_local."varchar" LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS %L',
                   f.name, replace(f.arguments, 'V', 'redshift_local."varchar"'), f.symbol);
  END LOOP;
END $$;
CREATE FUNCTION redshift_local.varchar_concat(redshift_local."varchar", redshift_local."varchar") RETURNS redshift_local."varchar"
  LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'textcat';
CREATE OPERATOR pg_catalog.|| (FUNCTION = redshift_local.varchar_concat, LEFTARG = redshift_local."varchar", RIGHTARG = redshift_local."varchar");
CREATE FUNCTION redshift_local.varchar_larger(redshift_local."varchar", redshift_local."varchar") RETURNS redshift_local."varchar"
  LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'bpchar_larger';
CREATE FUNCTION redshift_local.varchar_smaller(redshift_local."varchar", redshift_local."varchar") RETURNS redshift_local."varchar"
  LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'bpchar_smaller';
CREATE AGGREGATE pg_catalog.max(redshift_local."varchar") (SFUNC = redshift_local.varchar_larger, STYPE = redshift_local."varchar",
  COMBINEFUNC = redshift_local.varchar_larger, SORTOP = OPERATOR(pg_catalog.>), PARALLEL = SAFE);
CREATE AGGREGATE pg_catalog.min(redshift_local."varchar") (SFUNC = redshift_local.varchar_smaller, STYPE = redshift_local."varchar",
  COMBINEFUNC = redshift_local.varchar_smaller, SORTOP = OPERATOR(pg_catalog.<), PARALLEL = SAFE);
