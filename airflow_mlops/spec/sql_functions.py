"""Functions of SQL that compute with what they are given, and the words of SQL that stand before a parenthesis.

Where only some schemas may be read, a function that is not known is refused: databases have hundreds that read a file,
run a text as a query (`query_to_xml`, `ts_stat`, `crosstab`, `dblink`), or change what a name means (`set_config`), and
extensions bring more. What is missing here can be put into a view of an allowed schema.
"""

from __future__ import annotations

_AGGREGATES = """
any_value approx_count_distinct approx_percentile approx_quantile arg_max arg_min array_agg avg bit_and bit_or bit_xor
bool_and bool_or corr count count_if countif covar_pop covar_samp every first group_concat grouping json_agg
json_object_agg jsonb_agg jsonb_object_agg last listagg max max_by median min min_by mode percentile_cont
percentile_disc quantile regr_count regr_intercept regr_r2 regr_slope stddev stddev_pop stddev_samp stdev stdevp
string_agg sum sumif var var_pop var_samp variance varp
cume_dist dense_rank first_value lag last_value lead nth_value ntile percent_rank rank row_number
"""
_NUMBERS = """
abs acos asin atan atan2 cbrt ceil ceiling cos cot degrees div exp floor gcd greatest isfinite isinf isnan lcm least ln
log log10 log2 mod pi pow power radians rand random round sign sin sqrt square tan trunc width_bucket
cast coalesce convert decode if iff iif ifnull isnull nullif nullifzero nvl nvl2 safe_cast to_number try_cast
try_convert zeroifnull
"""
_TEXTS = """
ascii bit_length btrim char char_length character_length charindex chr concat concat_ws contains encode ends_with
endswith format initcap instr left len length locate lower lpad ltrim md5 normalize octet_length overlay position
regexp_contains regexp_count regexp_extract regexp_instr regexp_like regexp_match regexp_matches regexp_replace
regexp_substr repeat replace reverse right rpad rtrim sha1 sha2 sha256 soundex space split split_part starts_with
startswith strpos substr substring to_char to_hex translate trim upper
"""
_TIMES = """
add_months age convert_timezone current_date current_time current_timestamp date date_add date_bin date_diff date_part
date_sub date_trunc dateadd datediff datename datepart datetime datetime_diff datetime_trunc day dayname dayofmonth
dayofweek dayofyear eomonth extract format_date format_timestamp from_unixtime getdate hour julianday justify_days
justify_hours last_day localtime localtimestamp make_date make_interval make_time make_timestamp minute month monthname
months_between now parse_date parse_timestamp quarter second strftime strptime sysdate sysdatetime time timestamp
timestamp_add timestamp_diff timestamp_sub timestamp_trunc timestampadd timestampdiff timezone to_date to_time
to_timestamp to_timestamp_ntz unix_timestamp week weekday year
"""
_NESTED = """
array_append array_contains array_length array_position array_remove array_to_string cardinality element_at
generate_series get_path json_array json_array_length json_build_object json_extract json_extract_path
json_extract_path_text json_extract_scalar json_length json_object json_query json_typeof json_unquote json_valid
json_value jsonb_array_length jsonb_build_object jsonb_extract_path jsonb_extract_path_text jsonb_typeof list_contains
parse_json size st_area st_contains st_distance st_intersects st_length st_makepoint st_point st_setsrid st_within st_x
st_y string_to_array to_json to_jsonb unnest
"""
FUNCTIONS = frozenset(" ".join((_AGGREGATES, _NUMBERS, _TEXTS, _TIMES, _NESTED)).split())
"""Functions that read nothing but their arguments."""
_WORDS = """
all and any array as between by case cube distinct else except exists fetch filter from group having ilike in intersect
interval is join lateral like limit not offset on or over row rollup select sets similar some then top union using
values when where within
binary bigint bit character dec decimal double float int integer nchar number numeric nvarchar real string time
timestamptz timetz varbinary varchar varying
"""
BEFORE_PARENTHESIS = frozenset(_WORDS.split())
"""Words of SQL and types that stand before a parenthesis, and call nothing."""
