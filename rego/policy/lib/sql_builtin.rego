# Which of PostgreSQL's own functions only compute, and which catalogs say no more than how a database is built.
#
# A package apart from lib/sql, so that these long sets are made only where they are asked for.
package extproc.lib.sql_builtin

# A function as input.sql has it. Names that begin with pg_ look into the server rather than compute: of those, and of
# volatile ones, only what is named below. Tables as XML are read by name, whatever else is said of them.
harmless(f) if {
	f.volatility in {"immutable", "stable"}
	startswith(f.name, "pg_catalog.")
	not startswith(f.name, "pg_catalog.pg_")
	not contains(f.name, "_to_xml")
	f.dynamic == false
} else if {
	f.name in functions
	f.dynamic == false
} else if {
	startswith(f.name, "information_schema._pg_")
}

# Aggregates that bring every row of a group back in one value: a limit of rows does not limit them.
collects(name) if regex.match(`^pg_catalog\.(array|json|jsonb|range|string|xml|json_object|jsonb_object)_?agg`, name)

catalog(table) if {
	startswith(table, "pg_catalog.")
	table in catalogs
} else if {
	startswith(table, "information_schema.")
	not table in {"information_schema._pg_user_mappings", "information_schema.user_mapping_options"}
}

# A volatile one gives a value that depends on nothing stored; nextval and setval are not here, as they write. Neither are
# sizes, statistics and positions in the WAL, which tell of values, nor what tells of other connections.
functions := {
	"pg_catalog.clock_timestamp",
	"pg_catalog.gen_random_uuid",
	"pg_catalog.pg_advisory_unlock_all", # what drivers call before a connection goes back to its pool
	"pg_catalog.pg_available_extension_versions",
	"pg_catalog.pg_available_extensions",
	"pg_catalog.pg_backend_pid",
	"pg_catalog.pg_basetype",
	"pg_catalog.pg_char_to_encoding",
	"pg_catalog.pg_client_encoding",
	"pg_catalog.pg_collation_for",
	"pg_catalog.pg_collation_is_visible",
	"pg_catalog.pg_column_is_updatable",
	"pg_catalog.pg_conversion_is_visible",
	"pg_catalog.pg_describe_object",
	"pg_catalog.pg_encoding_max_length",
	"pg_catalog.pg_encoding_to_char",
	"pg_catalog.pg_function_is_visible",
	"pg_catalog.pg_get_catalog_foreign_keys",
	"pg_catalog.pg_get_constraintdef",
	"pg_catalog.pg_get_expr",
	"pg_catalog.pg_get_function_arg_default",
	"pg_catalog.pg_get_function_arguments",
	"pg_catalog.pg_get_function_identity_arguments",
	"pg_catalog.pg_get_function_result",
	"pg_catalog.pg_get_function_sqlbody",
	"pg_catalog.pg_get_functiondef",
	"pg_catalog.pg_get_indexdef",
	"pg_catalog.pg_get_keywords",
	"pg_catalog.pg_get_partition_constraintdef",
	"pg_catalog.pg_get_partkeydef",
	"pg_catalog.pg_get_publication_tables",
	"pg_catalog.pg_get_ruledef",
	"pg_catalog.pg_get_serial_sequence",
	"pg_catalog.pg_get_statisticsobjdef",
	"pg_catalog.pg_get_statisticsobjdef_columns",
	"pg_catalog.pg_get_statisticsobjdef_expressions",
	"pg_catalog.pg_get_triggerdef",
	"pg_catalog.pg_get_userbyid",
	"pg_catalog.pg_get_viewdef",
	"pg_catalog.pg_has_role",
	"pg_catalog.pg_identify_object",
	"pg_catalog.pg_index_column_has_property",
	"pg_catalog.pg_index_has_property",
	"pg_catalog.pg_indexam_has_property",
	"pg_catalog.pg_is_in_recovery",
	"pg_catalog.pg_is_other_temp_schema",
	"pg_catalog.pg_my_temp_schema",
	"pg_catalog.pg_opclass_is_visible",
	"pg_catalog.pg_operator_is_visible",
	"pg_catalog.pg_opfamily_is_visible",
	"pg_catalog.pg_options_to_table",
	"pg_catalog.pg_partition_ancestors",
	"pg_catalog.pg_partition_root",
	"pg_catalog.pg_partition_tree",
	"pg_catalog.pg_relation_is_publishable",
	"pg_catalog.pg_relation_is_updatable",
	"pg_catalog.pg_sequence_parameters",
	"pg_catalog.pg_show_all_settings",
	"pg_catalog.pg_size_pretty",
	"pg_catalog.pg_statistics_obj_is_visible",
	"pg_catalog.pg_table_is_visible",
	"pg_catalog.pg_tablespace_location",
	"pg_catalog.pg_timezone_abbrevs",
	"pg_catalog.pg_timezone_names",
	"pg_catalog.pg_ts_config_is_visible",
	"pg_catalog.pg_ts_dict_is_visible",
	"pg_catalog.pg_ts_parser_is_visible",
	"pg_catalog.pg_ts_template_is_visible",
	"pg_catalog.pg_type_is_visible",
	"pg_catalog.pg_typeof",
	"pg_catalog.random",
	"pg_catalog.random_normal",
	"pg_catalog.timeofday",
	"pg_catalog.uuidv4",
	"pg_catalog.uuidv7",
}

# Not here: what holds data (pg_largeobject, pg_statistic), what others do (pg_stat_*, pg_locks, pg_prepared_xacts), files and
# passwords (pg_hba_file_rules, pg_shadow, pg_user_mapping, pg_subscription).
catalogs := {
	"pg_catalog.pg_aggregate",
	"pg_catalog.pg_am",
	"pg_catalog.pg_amop",
	"pg_catalog.pg_amproc",
	"pg_catalog.pg_attrdef",
	"pg_catalog.pg_attribute",
	"pg_catalog.pg_auth_members",
	"pg_catalog.pg_authid",
	"pg_catalog.pg_available_extension_versions",
	"pg_catalog.pg_available_extensions",
	"pg_catalog.pg_cast",
	"pg_catalog.pg_class",
	"pg_catalog.pg_collation",
	"pg_catalog.pg_constraint",
	"pg_catalog.pg_conversion",
	"pg_catalog.pg_database",
	"pg_catalog.pg_db_role_setting",
	"pg_catalog.pg_default_acl",
	"pg_catalog.pg_depend",
	"pg_catalog.pg_description",
	"pg_catalog.pg_enum",
	"pg_catalog.pg_event_trigger",
	"pg_catalog.pg_extension",
	"pg_catalog.pg_foreign_data_wrapper",
	"pg_catalog.pg_foreign_server",
	"pg_catalog.pg_foreign_table",
	"pg_catalog.pg_index",
	"pg_catalog.pg_indexes",
	"pg_catalog.pg_inherits",
	"pg_catalog.pg_init_privs",
	"pg_catalog.pg_language",
	"pg_catalog.pg_matviews",
	"pg_catalog.pg_namespace",
	"pg_catalog.pg_opclass",
	"pg_catalog.pg_operator",
	"pg_catalog.pg_opfamily",
	"pg_catalog.pg_parameter_acl",
	"pg_catalog.pg_partitioned_table",
	"pg_catalog.pg_policies",
	"pg_catalog.pg_policy",
	"pg_catalog.pg_proc",
	"pg_catalog.pg_publication",
	"pg_catalog.pg_publication_namespace",
	"pg_catalog.pg_publication_rel",
	"pg_catalog.pg_publication_tables",
	"pg_catalog.pg_range",
	"pg_catalog.pg_rewrite",
	"pg_catalog.pg_roles",
	"pg_catalog.pg_rules",
	"pg_catalog.pg_seclabel",
	"pg_catalog.pg_seclabels",
	"pg_catalog.pg_sequence",
	"pg_catalog.pg_settings",
	"pg_catalog.pg_shdepend",
	"pg_catalog.pg_shdescription",
	"pg_catalog.pg_shseclabel",
	"pg_catalog.pg_statistic_ext",
	"pg_catalog.pg_tables",
	"pg_catalog.pg_tablespace",
	"pg_catalog.pg_timezone_abbrevs",
	"pg_catalog.pg_timezone_names",
	"pg_catalog.pg_transform",
	"pg_catalog.pg_trigger",
	"pg_catalog.pg_ts_config",
	"pg_catalog.pg_ts_config_map",
	"pg_catalog.pg_ts_dict",
	"pg_catalog.pg_ts_parser",
	"pg_catalog.pg_ts_template",
	"pg_catalog.pg_type",
	"pg_catalog.pg_views",
}
