/** The program that moves media, with a simulated rclone whose bucket is a directory. */
import { createHash } from 'node:crypto';
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { readProgram } from '../../../wizard/assets.ts';
import { tempFolder } from '../../support/temp.ts';

/** What the program calls of rclone. BAD names an object that arrives with other bytes, each time. */
const RCLONE = `#!/bin/bash
place() { if [[ $1 = bucket* ]]; then echo "$BUCKET"; else echo "$1"; fi; }
words=() list='' format='' still=/dev/null
verb=''
while (($#)); do
  case $1 in
    --files-from-raw) list=$2; shift ;;
    --format) format=$2; shift ;;
    --separator | --error) shift ;;
    --differ) still=$2; shift ;;
    --header-upload) echo "header $2" >>"$LOG"; shift ;;
    -*) ;;
    *) if [[ $verb ]]; then words+=("$1"); else verb=$1; fi ;;
  esac
  shift
done
at=$(place "\${words[0]}")
case $verb in
  lsf)
    cd "$at" && find . -type f -printf '%P\\t%s\\n' | while IFS=$'\\t' read -r path size; do
      if [[ $format = psh ]]; then printf '%s\\t%s\\t%s\\n' "$path" "$size" "$(md5sum <"$path" | cut -c -32)"
      else printf '%s\\t%s\\n' "$path" "$size"; fi
    done ;;
  copy)
    to=$(place "\${words[1]}")
    while read -r path; do
      if [[ ! -e $at/$path ]]; then continue; fi
      mkdir -p "$(dirname "$to/$path")"
      cp "$at/$path" "$to/$path"
      if [[ $path = "$BAD" ]]; then printf X | dd of="$to/$path" conv=notrunc status=none; fi
      echo "\${words[1]} $path" >>"$LOG"
    done <"$list" ;;
  check)
    : >"$still"
    while read -r path; do cmp -s "$at/$path" "$(place "\${words[1]}")/$path" || echo "$path" >>"$still"; done <"$list" ;;
  delete) while read -r path; do rm -f "$at/$path"; done <"$list" ;;
esac
`;

let root = '';
const at = (...parts: string[]): string => join(root, ...parts);
function put(place: 'here' | 'bucket', path: string, text: string, mode = 0o644): void {
  mkdirSync(dirname(at(place, path)), { recursive: true });
  writeFileSync(at(place, path), text);
  chmodSync(at(place, path), mode);
}
const has = (place: 'here' | 'bucket', path: string): string | undefined =>
  existsSync(at(place, path)) ? readFileSync(at(place, path), 'utf8') : undefined;

beforeEach(() => {
  root = tempFolder();
  for (const name of ['bin', 'here', 'bucket', 'lists']) mkdirSync(at(name));
  writeFileSync(at('bin/rclone'), RCLONE, { mode: 0o755 });
  writeFileSync(at('log'), '');
});

interface Ran {
  readonly code: number | null;
  readonly lines: readonly string[];
}

function run(
  verb: string,
  to: 's3' | 'local',
  more: { readonly env?: Record<string, string>; readonly stdin?: string } = {},
): Ran {
  const [here, there] = [at('here'), 'bucket:media'];
  const { status, stdout, stderr } = spawnSync(
    'sh',
    [
      '-c',
      readProgram('media/programs/move.sh'),
      'sh',
      verb,
      ...(to === 's3' ? [here, there] : [there, here]),
      at('lists'),
      here,
      'accounts backups cache',
      'backups',
      'public',
      `${process.getuid?.() ?? 0}:${process.getgid?.() ?? 0}`,
    ],
    {
      encoding: 'utf8',
      input: more.stdin ?? '',
      env: {
        ...process.env,
        PATH: `${at('bin')}:${process.env['PATH'] ?? ''}`,
        BUCKET: at('bucket'),
        LOG: at('log'),
        START: '1',
        ACL: '1',
        ...more.env,
      },
    },
  );
  if (status !== 0 && status !== 20 && status !== 21) throw new Error(stderr);
  return { code: status, lines: stdout.trim().split('\n') };
}
const log = (): string[] => readFileSync(at('log'), 'utf8').trim().split('\n');
const md5 = (text: string): string => createHash('md5').update(text).digest('hex');

describe('into a bucket', () => {
  test('the plan: files, bytes, copies of remote files, what is lacking; other files are none', () => {
    put('here', '.fedi-setup.json', '{}');
    put('here', '.hidden/x', 'not media');
    put('here', 'new_class/x', 'n');
    put('bucket', 'restic/config', 'not media');
    put('here', 'accounts/a b.png', 'picture');
    put('here', 'cache/b.png', 'remote');
    put('bucket', 'cache/b.png', 'remote');
    const { lines } = run('plan', 's3');
    expect(lines.slice(0, 5)).toEqual(['3', '14', '6', '2', '8']);
    expect(Number(lines[5])).toBeGreaterThan(0);
  });

  test('copies what is lacking or has another size; unreadable files and archives are private', () => {
    put('here', 'accounts/a b.png', 'picture');
    put('here', 'accounts/suspended.png', 'hidden', 0o600);
    put('here', 'backups/archive.zip', 'archive');
    put('here', 'cache/same.png', 'same');
    put('bucket', 'cache/same.png', 'same');
    put('here', 'cache/cut.png', 'whole');
    put('bucket', 'cache/cut.png', 'who');
    expect(run('copy', 's3').lines[0]).toBe('4');
    expect(
      log()
        .filter((line) => !line.startsWith('header'))
        .toSorted(),
    ).toEqual([
      'bucket,acl=private:media accounts/suspended.png',
      'bucket,acl=private:media backups/archive.zip',
      'bucket:media accounts/a b.png',
      'bucket:media cache/cut.png',
    ]);
    expect(log()).toContain('header Cache-Control: public');
    expect(run('copy', 's3').lines[0]).toBe('0');
  });

  test('a bucket without ACLs gets none', () => {
    put('here', 'accounts/suspended.png', 'hidden', 0o600);
    run('copy', 's3', { env: { ACL: '' } });
    expect(log()).toContain('bucket:media accounts/suspended.png');
  });

  test('other bytes of the same size are found by their hash, and copied again', () => {
    put('here', 'accounts/a.png', 'picture');
    put('bucket', 'accounts/a.png', 'pixture');
    expect(run('copy', 's3').lines[0]).toBe('0');
    expect(run('check', 's3')).toEqual({ code: 0, lines: ['1', '0', '1'] });
    expect(has('bucket', 'accounts/a.png')).toBe('picture');
  });

  test('a file that differs after the second copy too is named', () => {
    put('here', 'accounts/a.png', 'picture');
    put('here', 'accounts/b.png', 'picture');
    const env = { BAD: 'accounts/b.png' };
    run('copy', 's3', { env });
    const { code, lines } = run('check', 's3', { env });
    expect([code, lines.at(-1)]).toEqual([20, 'accounts/b.png']);
  });

  test('the end: new files follow, deleted ones are removed there, what was there before stays', () => {
    put('bucket', 'accounts/foreign.png', 'before');
    put('here', 'accounts/a.png', 'picture');
    put('here', 'accounts/gone.png', 'deleted soon');
    run('copy', 's3');
    run('check', 's3');
    rmSync(at('here/accounts/gone.png'));
    put('here', 'accounts/new.png', 'uploaded meanwhile');
    expect(run('end', 's3')).toEqual({
      code: 0,
      lines: ['2', '25', `accounts/a.png\t${md5('picture')}`],
    });
    expect(has('bucket', 'accounts/gone.png')).toBeUndefined();
    expect(has('bucket', 'accounts/new.png')).toBe('uploaded meanwhile');
    expect(has('bucket', 'accounts/foreign.png')).toBe('before');
  });

  test('the copy of an earlier move: what was deleted since is removed', () => {
    put('bucket', 'accounts/deleted.png', 'an old post');
    put('here', 'accounts/a.png', 'picture');
    run('copy', 's3', { env: { OURS: '1' } });
    run('end', 's3', { env: { OURS: '1' } });
    expect(has('bucket', 'accounts/deleted.png')).toBeUndefined();
  });

  test('fill copies missing names only: the bucket is in use', () => {
    put('here', 'accounts/a.png', 'old');
    put('bucket', 'accounts/a.png', 'newer');
    put('here', 'accounts/b.png', 'left here');
    expect(run('fill', 's3').lines).toEqual(['1']);
    expect([has('bucket', 'accounts/a.png'), has('bucket', 'accounts/b.png')]).toEqual([
      'newer',
      'left here',
    ]);
  });

  test('remove deletes the old files here, and nothing else', () => {
    put('here', '.fedi-setup.json', '{}');
    put('here', 'accounts/1/a.png', 'picture');
    run('copy', 's3');
    run('end', 's3');
    put('here', 'accounts/2/later.png', 'not moved');
    run('remove', 's3');
    expect([has('here', 'accounts/1'), has('here', '.fedi-setup.json')]).toEqual([undefined, '{}']);
    expect(has('here', 'accounts/2/later.png')).toBe('not moved');
    expect(has('bucket', 'accounts/1/a.png')).toBe('picture');
  });

  test('without the lists, as after a restore, remove deletes known directories only', () => {
    put('here', 'accounts/a.png', 'picture');
    put('here', 'snapshots/x', 'of the administrator');
    run('remove', 's3');
    expect([has('here', 'accounts/a.png'), has('here', 'snapshots/x')]).toEqual([
      undefined,
      'of the administrator',
    ]);
  });
});

describe('back to this host', () => {
  test('the files of suspended accounts are readable for the app only', () => {
    put('bucket', 'accounts/1/a.png', 'picture');
    put('bucket', 'accounts/2/b.png', 'suspended');
    run('copy', 'local');
    run('end', 'local', { stdin: 'accounts/2\naccounts/none\n' });
    const mode = (path: string): string =>
      spawnSync('stat', ['-c', '%a', at('here', path)], { encoding: 'utf8' }).stdout.trim();
    expect([mode('accounts/1/a.png'), mode('accounts/2/b.png')]).toEqual(['644', '600']);
  });

  test('remove deletes from the bucket what was moved, and nothing else', () => {
    put('bucket', 'accounts/a.png', 'picture');
    put('bucket', 'restic/config', 'something else');
    run('copy', 'local');
    run('end', 'local');
    put('bucket', 'accounts/later.png', 'not ours');
    run('remove', 'local');
    expect(has('bucket', 'accounts/a.png')).toBeUndefined();
    expect([has('bucket', 'restic/config'), has('bucket', 'accounts/later.png')]).toEqual([
      'something else',
      'not ours',
    ]);
    expect(has('here', 'accounts/a.png')).toBe('picture');
  });
});
