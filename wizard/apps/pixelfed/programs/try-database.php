<?php
/**
 * Prints version, limit of connections, encoding, collation, whether tables may be created, whether the server is a replica,
 * whether it is read-only, and a setting that can lose data, as JSON. Preparing a statement checks the required rights without
 * executing it.
 */

in_words(function () {
  $db = connect_database();
  $row = is_postgres()
    ? $db->query("select current_setting('server_version'), current_setting('max_connections'), getdatabaseencoding(), '', has_schema_privilege('public', 'create')::int, pg_is_in_recovery()::int, (current_setting('default_transaction_read_only') = 'on')::int, concat(case when current_setting('fsync') = 'off' then 'fsync' when current_setting('full_page_writes') = 'off' then 'full_page_writes' end)")->fetch(PDO::FETCH_NUM)
    : $db->query('select version(), @@max_connections, @@character_set_database, @@collation_database, 1, 0, @@global.read_only, if(@@global.innodb_flush_log_at_trx_commit = 1, \'\', \'innodb_flush_log_at_trx_commit\')')->fetch(PDO::FETCH_NUM);
  if (!is_postgres()) $db->exec("prepare fedi_setup from 'create table fedi_setup_trial (id int)'");
  echo json_encode($row);
});
