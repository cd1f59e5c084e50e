/** All commands, in the order of the help. A new one is a file in this directory and a line here. */
import { add } from './add.ts';
import { apply } from './apply.ts';
import { backup } from './backup.ts';
import { cleanup } from './cleanup.ts';
import type { Command } from './command.ts';
import { completion } from './completion.ts';
import { doctor } from './doctor.ts';
import { help } from './help.ts';
import { lab } from './lab.ts';
import { logs } from './logs.ts';
import { mail } from './mail.ts';
import { maintain } from './maintain.ts';
import { media } from './media.ts';
import { move } from './move.ts';
import { plan } from './plan.ts';
import { prove } from './prove.ts';
import { remove } from './remove.ts';
import { reset } from './reset.ts';
import { restore } from './restore.ts';
import { rollback } from './rollback.ts';
import { secrets } from './secrets.ts';
import { restart } from './restart.ts';
import { start } from './start.ts';
import { status } from './status.ts';
import { stop } from './stop.ts';
import { uninstall } from './uninstall.ts';
import { upgrade } from './upgrade.ts';
import { user } from './user.ts';
import { versionCommand } from './version.ts';
import { wizard } from './wizard.ts';

export const COMMANDS: readonly Command[] = [
  wizard,
  apply,
  plan,
  lab,
  add,
  remove,
  upgrade,
  rollback,
  status,
  logs,
  start,
  stop,
  restart,
  doctor,
  prove,
  user,
  mail,
  secrets,
  backup,
  restore,
  move,
  media,
  cleanup,
  maintain,
  reset,
  uninstall,
  completion,
  help,
  versionCommand,
];
