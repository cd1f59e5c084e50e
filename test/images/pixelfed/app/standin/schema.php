<?php
// The tables in so far as we look at them, in an order of migrations that ends like upstream's.

namespace Standin;

/** Migration → statements. `ID`, `TIME`, `KEY` and `SHARED` stand for what differs between the two databases. */
const MIGRATIONS = [
    '2014_10_12_000000_create_users_table' => [
        'create table users (ID, name varchar(255), username varchar(255) unique, email varchar(255) not null unique, password varchar(255) not null, remember_token varchar(100), is_admin boolean not null default false, email_verified_at TIME null, status varchar(255), created_at TIME null, updated_at TIME null, deleted_at TIME null)',
    ],
    '2016_06_01_000002_create_oauth_access_tokens_table' => [
        'create table oauth_access_tokens (id varchar(100) primary key, user_id bigint, client_id bigint not null, name varchar(255), scopes text, revoked boolean not null, created_at TIME null, updated_at TIME null, expires_at TIME null)',
    ],
    '2016_06_01_000004_create_oauth_clients_table' => [
        'create table oauth_clients (ID, user_id bigint, name varchar(255) not null, secret varchar(100), provider varchar(255), redirect text not null, personal_access_client boolean not null, password_client boolean not null, revoked boolean not null, created_at TIME null, updated_at TIME null)',
    ],
    '2018_04_16_002611_create_profiles_table' => [
        'create table profiles (id bigint primary key, user_id bigint, domain varchar(255), username varchar(255), name varchar(255), private_key text, public_key text, SHARED varchar(255), status varchar(255), created_at TIME null, updated_at TIME null)',
    ],
    '2018_04_18_044421_create_statuses_table' => [
        'create table statuses (id bigint primary key, profile_id bigint, caption text, rendered text, type varchar(255), scope varchar(255), visibility varchar(255), created_at TIME null, updated_at TIME null, deleted_at TIME null)',
    ],
    '2018_04_26_003259_create_followers_table' => [
        'create table followers (ID, profile_id bigint not null, following_id bigint not null, created_at TIME null, updated_at TIME null)',
        'create table follow_requests (ID, follower_id bigint not null, following_id bigint not null, created_at TIME null, updated_at TIME null)',
    ],
    '2018_05_31_043327_add_remote_columns' => [
        'alter table profiles add remote_url varchar(255)',
        'alter table profiles add inbox_url varchar(255)',
        'alter table statuses add uri varchar(255)',
    ],
    '2018_06_08_003624_create_media_table' => [
        'create table media (ID, status_id bigint, profile_id bigint, user_id bigint, media_path varchar(255) not null, thumbnail_path varchar(255), mime varchar(255), size int, caption text, remote_url varchar(255), processed_at TIME null, created_at TIME null, updated_at TIME null, deleted_at TIME null)',
    ],
    '2018_08_27_004653_add_cdn_url_and_optimized_url_to_media_table' => ['alter table media add cdn_url varchar(255)', 'alter table media add optimized_url varchar(255)'],
    '2018_09_27_040314_create_failed_jobs_table' => [
        'create table failed_jobs (ID, queue text not null, payload text not null, exception text not null, failed_at TIME null)',
    ],
    '2019_06_16_051157_add_profile_ids_to_users_table' => ['alter table users add profile_id bigint unique'],
    '2020_07_25_230100_create_places_table' => [
        'create table places (ID, slug varchar(255) not null, name varchar(255) not null, country varchar(255) not null, lat double precision, KEY double precision)',
    ],
    '2019_02_10_000000_add_thumbnail_url_to_media_table' => ['alter table media add thumbnail_url varchar(255)'],
    '2021_08_30_000000_add_replicated_at_to_media_table' => ['alter table media add replicated_at TIME null', 'alter table media add version int not null default 1', 'alter table media add remote_media boolean not null default false'],
    '2020_12_13_203646_create_instance_actors_table' => [
        'create table instance_actors (ID, private_key text, public_key text, created_at TIME null, updated_at TIME null)',
    ],
    '2020_12_30_070905_add_last_active_at_to_users_table' => ['alter table users add last_active_at TIME null'],
];

/** The one column whose name has a capital. */
function sharedInbox(): string
{
    return db()->getDriverName() === 'pgsql' ? '"sharedInbox"' : '`sharedInbox`';
}

/** Names of migrations that were not run yet. */
function pendingMigrations(): array
{
    $ran = db()->hasTable('migrations') ? array_column(db()->select('select migration from migrations'), 'migration') : [];

    return array_values(array_diff(array_keys(MIGRATIONS), $ran));
}

function runMigration(string $name, int $batch): void
{
    $pg = db()->getDriverName() === 'pgsql';
    foreach (MIGRATIONS[$name] as $sql) {
        db()->statement(strtr($sql, [
            'ID,' => $pg ? 'id bigserial primary key,' : 'id bigint unsigned not null auto_increment primary key,',
            'TIME' => $pg ? 'timestamp(0)' : 'timestamp',
            'KEY' => $pg ? '"long"' : '`long`',
            'SHARED' => sharedInbox(),
        ]));
    }
    db()->insert('migrations', ['migration' => $name, 'batch' => $batch]);
}
