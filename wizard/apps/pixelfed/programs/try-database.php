<?php
/**
 * Prints version, limit of connections, encoding, collation, and whether tables may be created, as JSON. Preparing a statement
 * checks the required rights without executing it.
 */

in_words(function () {
  $db = connect_database();
  $row = is_postgres()
    ? $db->query("select current_setting('server_version'), current_setting('max_connections'), getdatabaseencoding(), '', has_schema_privilege('public', 'create')::int")->fetch(PDO::FETCH_NUM)
    : $db->query('select version(), @@max_connections, @@character_set_database, @@collation_database, 1')->fetch(PDO::FETCH_NUM);
  if (!is_postgres()) $db->exec("prepare fedi_setup from 'create table fedi_setup_trial (id int)'");
  echo json_encode($row);
});
