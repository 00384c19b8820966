# SET of all kinds, USE, roles.
SET @left_behind = 1
SET @left_behind := 1, @other = 2
SET @`left behind` = 1
SET @left_behind = (SELECT MAX(x) FROM t)
SET NAMES latin1
SET NAMES utf8mb4 COLLATE utf8mb4_bin
SET NAMES DEFAULT
SET CHARACTER SET latin1
SET CHARSET latin1
SET character_set_client = latin1
SET character_set_results = NULL
SET collation_connection = utf8mb4_bin
SET character_set_server = latin1
SET sql_mode = 'ANSI_QUOTES'
SET SESSION sql_mode = ''
SET @@session.sql_mode = 'NO_BACKSLASH_ESCAPES'
SET @@sql_mode = CONCAT(@@sql_mode, ',PIPES_AS_CONCAT')
SET LOCAL sql_mode = 'ORACLE'
SET time_zone = '+03:00'
SET timestamp = 1
SET timestamp = DEFAULT
SET insert_id = 7777
SET last_insert_id = 4713
SET identity = 4714
SET rand_seed1 = 1, rand_seed2 = 2
SET foreign_key_checks = 0
SET unique_checks = 0
SET sql_log_bin = 0
SET sql_safe_updates = 1
SET sql_select_limit = 1
SET sql_big_selects = 0
SET max_join_size = 10
SET sql_auto_is_null = 1
SET sql_quote_show_create = 0
SET sql_warnings = 1
SET sql_notes = 0
SET sql_buffer_result = 1
SET big_tables = 1
SET group_concat_max_len = 4
SET div_precision_increment = 9
SET wait_timeout = 11
SET interactive_timeout = 11
SET net_read_timeout = 11
SET lock_wait_timeout = 1
SET innodb_lock_wait_timeout = 2
SET max_statement_time = 5
SET max_execution_time = 5000
SET statement_timeout = 5
SET default_storage_engine = MyISAM
SET default_tmp_storage_engine = MyISAM
SET optimizer_switch = 'mrr=off'
SET optimizer_trace = 'enabled=on'
SET optimizer_search_depth = 1
SET join_buffer_size = 16384
SET sort_buffer_size = 65536
SET tmp_table_size = 65536
SET max_heap_table_size = 65536
SET read_buffer_size = 16384
SET max_error_count = 1
SET max_sort_length = 64
SET max_length_for_sort_data = 64
SET max_sp_recursion_depth = 5
SET auto_increment_increment = 3
SET auto_increment_offset = 2
SET updatable_views_with_limit = 0
SET low_priority_updates = 1
SET old_mode = ''
SET old_passwords = 0
SET profiling = 1
SET lc_time_names = 'de_DE'
SET lc_messages = 'de_DE'
SET default_week_format = 1
SET tx_isolation = 'READ-COMMITTED'
SET transaction_isolation = 'READ-COMMITTED'
SET tx_read_only = 1
SET transaction_read_only = 1
SET session_track_schema = 0
SET session_track_system_variables = '*'
SET binlog_format = 'ROW'
SET binlog_row_image = 'MINIMAL'
SET gtid_next = 'AUTOMATIC'
SET gtid_domain_id = 5
SET server_id = 99
SET pseudo_thread_id = 7
SET pseudo_replica_mode = 0
SET pseudo_slave_mode = 0
SET check_constraint_checks = 0
SET system_versioning_asof = '2026-01-01'
SET system_versioning_alter_history = KEEP
SET sql_if_exists = 1
SET tcp_nodelay = 0
SET query_cache_type = 1
SET keep_files_on_create = 1
SET storage_engine = MyISAM
SET innodb_strict_mode = 0
SET innodb_table_locks = 0
SET innodb_snapshot_isolation = 0
SET innodb_compression_default = 1
SET wsrep_on = 0
SET windowing_use_high_precision = 0
SET cte_max_recursion_depth = 5
SET max_recursive_iterations = 5
SET explicit_defaults_for_timestamp = 0
SET show_create_table_verbosity = 1
SET information_schema_stats_expiry = 0
SET resultset_metadata = NONE
SET print_identified_with_as_hex = 1
SET sql_require_primary_key = 1
SET sql_generate_invisible_primary_key = 1
SET show_gipk_in_create_table_and_information_schema = 0
SET default_collation_for_utf8mb4 = utf8mb4_general_ci
SET character_set_collations = 'utf8mb4=utf8mb4_bin'
SET require_row_format = 0
SET use_secondary_engine = OFF
SET histogram_generation_max_mem_size = 1000000
SET generated_random_password_length = 30
SET select_into_disk_sync = 1
SET unused_variable_of_nobody = 1
SET column_compression_threshold = 50
SET expensive_subquery_limit = 10
SET idle_transaction_timeout = 100
SET idle_readonly_transaction_timeout = 100
SET eq_range_index_dive_limit = 5
SET range_alloc_block_size = 8192
SET query_prealloc_size = 16384
SET transaction_alloc_block_size = 16384
SET bulk_insert_buffer_size = 0
SET myisam_sort_buffer_size = 65536
SET completion_type = DEFAULT
SET SESSION debug_dbug = ''
SET default_regex_flags = 'DOTALL'
SET note_verbosity = 'basic'
SET analyze_sample_percentage = 50
SET use_stat_tables = 'never'
SET histogram_size = 10
SET enforce_storage_engine = MyISAM
SET alter_algorithm = 'COPY'
SET join_cache_level = 1
SET log_slow_verbosity = 'query_plan'
SET long_query_time = 5
SET slow_query_log = 0
SET log_slow_query = 0
SET sql_log_off = 1
SET min_examined_row_limit = 5
SET skip_replication = 1
SET max_seeks_for_key = 5
SET preload_buffer_size = 65536
SET net_write_timeout = 12
SET net_retry_count = 5
SET max_user_connections = 0
SET SESSION read_only = 0
SET STATEMENT max_statement_time = 10 FOR SELECT 1
SET STATEMENT max_statement_time = 10 FOR INSERT INTO e (n) VALUES ({n})
SET STATEMENT sql_mode = 'ANSI' FOR SELECT @left_behind := 4
SET STATEMENT max_statement_time = 10 FOR COMMIT
SET STATEMENT max_statement_time = 10 FOR CREATE TABLE statement{n} (x INT)
SET STATEMENT autocommit = 0 FOR SELECT 1
SET ROLE boss
SET ROLE 'boss'
SET ROLE ALL
SET ROLE ALL EXCEPT boss
SET ROLE NONE
SET ROLE DEFAULT
SET DEFAULT ROLE boss TO nobody
SET DEFAULT ROLE boss FOR nobody
SET DEFAULT ROLE NONE TO nobody
SET DEFAULT ROLE NONE FOR nobody
SET PASSWORD FOR second = 'y'
SET PASSWORD FOR second = PASSWORD('y')
SET RESOURCE GROUP USR_default
@serial
- SET GLOBAL max_error_count = DEFAULT
SET GLOBAL max_error_count = 63
@serial
- SET GLOBAL max_error_count = DEFAULT
SET @@global.max_error_count = 62, @@session.max_error_count = 61
@serial
- SET PERSIST max_error_count = DEFAULT
- RESET PERSIST max_error_count
SET PERSIST max_error_count = 60
@serial
- RESET PERSIST max_error_count
SET PERSIST_ONLY max_error_count = 60
@serial
- SET GLOBAL TRANSACTION ISOLATION LEVEL REPEATABLE READ
SET GLOBAL TRANSACTION ISOLATION LEVEL READ COMMITTED
@serial
- SET GLOBAL sql_mode = DEFAULT
SET GLOBAL sql_mode = 'ANSI'
@serial
RESET PERSIST IF EXISTS max_error_count
SET sql_mode = DEFAULT
USE elsewhere
USE {db}
USE upper
/* leading */ USE elsewhere
