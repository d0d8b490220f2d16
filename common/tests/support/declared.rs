//! The captured tables as a configuration declares them, for `pgn`: decimals as text, times in ISO 8601.

use common::json::Declared;

const COMPOSITE_KEY: &str = "region varchar, n bigint, v varchar";
const EVOLVING: &str = "id integer, a2 varchar, c varchar, z timestamptz";
const EVERY_TYPE: &str = "id integer, c_bool boolean, c_int2 smallint, c_int4 integer, c_int8 bigint, c_float4 real, c_float8 double, \
    c_num varchar, c_num10_2 decimal(10;2), c_num38_9 decimal(38;9), c_money decimal(38;2), c_char varchar, c_varchar varchar, \
    c_text varchar, c_citext varchar, c_bytea varbyte, c_bit1 boolean, c_bit8 varbyte, c_varbit varbyte, c_date date, c_time time, \
    c_time3 time, c_timetz timetz, c_ts timestamp, c_ts3 timestamp, c_ts0 timestamp, c_tstz timestamptz, c_interval bigint, \
    c_uuid uuid, c_json json, c_jsonb json, c_xml varchar, c_mood varchar, c_inet varchar, c_cidr varchar, c_macaddr varchar, \
    c_point super, c_int4range varchar, c_tstzrange varchar, c_hstore json, c_ltree varchar, c_int_arr super, c_text_arr super, \
    c_num_arr super, c_oid bigint, c_tsv varchar";

pub(crate) fn columns(table: &str) -> Vec<Declared> {
    of(match table {
        "composite_key" => COMPOSITE_KEY,
        "evolving" => EVOLVING,
        _ => EVERY_TYPE,
    })
}

/// `name type, ...`, with a semicolon between the digits of a decimal.
pub(crate) fn of(text: &str) -> Vec<Declared> {
    let column = |text: &str| {
        let (field, ty) = text.trim().split_once(' ').unwrap();
        Declared {
            field: field.to_owned(),
            ty: ty.replace(';', ",").parse().unwrap(),
        }
    };
    text.split(',').map(column).collect()
}
