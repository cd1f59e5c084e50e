<?php
/** `read` prints the ownership marker, `data` prints t if the app has data there, otherwise f; `write` reads it from standard input. */

in_words(function () use ($argv) {
  $db = connect_database();
  $pg = is_postgres();
  switch ($argv[1]) {
    case 'read':
      echo $db->query($pg ? "select obj_description(to_regclass('public.fedi_setup'), 'pg_class')" : "select table_comment from information_schema.tables where table_schema = database() and table_name = 'fedi_setup'")->fetchColumn() ?: '';
      break;
    case 'data':
      echo $db->query("select count(*) from information_schema.tables where table_name in ('users', 'migrations') and table_schema = ".($pg ? "'public'" : 'database()'))->fetchColumn() > 0 ? 't' : 'f';
      break;
    case 'write':
      $text = $db->quote(trim(stream_get_contents(STDIN)));
      $db->exec('create table if not exists fedi_setup (id int)');
      $db->exec($pg ? "comment on table fedi_setup is $text" : "alter table fedi_setup comment = $text");
  }
});
