/** The events of --json. Programs depend on them: names, fields and codes do not change; new ones may be added. */

import type { SiteState } from './status/state.ts';
import type { Proposal } from './tune/decide.ts';
import type { Figures } from './tune/figures.ts';

/** The fields of each event besides `event`. */
interface Fields {
  begin: { folder: string };
  step: {
    id: string;
    state: 'start' | 'done' | 'already' | 'failed' | 'skipped';
    title?: string;
    note?: string;
    ms?: number;
  };
  act: { id: string };
  acted: { id: string };
  finding: {
    id: string;
    seen: string;
    level: 'advice' | 'warning' | 'blocker';
    what: string;
    means: string;
    next: string;
    log?: string;
  };
  proof: {
    app: string;
    id: string;
    title: string;
    ok: boolean;
    skipped?: true;
    seen: string;
    ms: number;
  };
  admin: { app: string; url: string; user: string; password: string };
  user: { app: string; name: string; email: string | undefined; role: string; state: string };
  password: { app: string; url: string; user: string; password: string };
  unchanged: Record<never, never>;
  end: { exit: number; proven: boolean };
  plan: { [field: string]: unknown };
  generation: { number: number; at: string; changed: readonly string[] };
  status: {
    folder: string;
    containers: readonly {
      service: string;
      state: string;
      health: string | undefined;
      restarts: number;
      app: string | null;
      fault: string | null;
      remark: string | null;
      isStarting: boolean;
    }[];
    proven: boolean;
    at: string | undefined;
    seen: string;
    runs: boolean;
    maintained: string | null;
  } & Pick<
    SiteState,
    | 'site'
    | 'state'
    | 'notes'
    | 'apps'
    | 'disk'
    | 'memory'
    | 'certificates'
    | 'mail'
    | 'backup'
    | 'receipt'
    | 'page'
    | 'advice'
  >;
  mail: { from: string; to: string; subject: string; at: string; text: string };
  secrets: {
    secrets: readonly {
      name: string;
      class: string;
      created: string;
      fingerprint: string;
      about: string | undefined;
      rotates: boolean;
    }[];
  };
  exported: { path: string };
  backup: {
    repository: string;
    ok: boolean;
    snapshot: string | undefined;
    bytes: number;
    added: number;
    why: string | undefined;
  };
  cleanup: {
    dryRun: boolean;
    free: Readonly<Record<string, readonly [before: number, after: number]>>;
    volumes: Readonly<Record<string, readonly [before: number, after: number]>>;
  };
  upgrade: {
    app: string;
    from: string;
    to: string | undefined;
    state: 'available' | 'current' | 'upgraded' | 'undone';
    seconds: number | undefined;
  };
  goodbye: {
    app: string;
    accounts: number;
    deliveries: number;
    unreached: readonly string[];
    complete: boolean;
  };
  media: {
    app: string;
    to: 'local' | 's3';
    state: 'plan' | 'moved' | 'filled' | 'removed';
    files: number;
    bytes: number;
    left: number;
  };
  snapshot: { repository: string; id: string; at: string; bytes: number | undefined };
  left: { directories: readonly string[]; servers: readonly string[] };
  tune: Figures & { proposal: Proposal | null };
  help: { text: string };
  completion: { shell: string; script: string };
  version: { version: string };
  problem: {
    code: string;
    exit: number;
    what: string;
    means: string | undefined;
    next: string | undefined;
    log: string | undefined;
  };
}

export type EventName = keyof Fields;

/** One line of --json. */
export type Event = {
  readonly [Name in EventName]: { readonly event: Name } & Readonly<Fields[Name]>;
}[EventName];

/** When each event is printed, and what its fields are; for docs/reference/json-events.md. */
export const EVENTS: {
  readonly [Name in EventName]: {
    readonly when: string;
    readonly fields: { readonly [Field in keyof Fields[Name]]-?: string };
  };
} = {
  begin: {
    when: 'A run that may change the site begins.',
    fields: { folder: 'absolute path of the site directory' },
  },
  step: {
    when: 'A line of progress begins (`state` is `start`) and ends (any other state).',
    fields: {
      id: 'what is done: `check.docker`, `write`, `up`, `prove.APP.https`, …',
      state: '`start`, `done`, `already` (it was done before), `failed` or `skipped` (it was not tried)',
      title: 'the line that people see; only with `start`',
      note: 'what was found or done; absent: nothing to say',
      ms: 'how long it took, in milliseconds; not with `start`',
    },
  },
  act: {
    when: 'A step of the first run, such as creating an account, is about to change the app.',
    fields: { id: 'id of the step' },
  },
  acted: { when: 'The change of that step was made.', fields: { id: 'id of the step' } },
  finding: {
    when: 'A check of the host or of the site found a fault; once per fault.',
    fields: {
      id: 'id of the check, as for `--skip-check`',
      seen: 'what the check observed',
      level: '`blocker` ends a run; `warning` does not; `advice`: all is well, and could be better',
      what: 'the cause',
      means: 'what follows from it',
      next: 'what to do',
      log: 'last lines of the container; absent: none',
    },
  },
  proof: {
    when: 'A proof was tried, or skipped.',
    fields: {
      app: 'id of the app',
      id: 'id of the proof',
      title: 'what is proven',
      ok: 'true: it is proven',
      skipped: 'true: it was not tried, because an earlier proof failed; else absent',
      seen: 'the evidence, or what was found instead',
      ms: 'how long it took, in milliseconds',
    },
  },
  admin: {
    when: 'A password of an owner is shown, once in the life of a site. **It is a secret.**',
    fields: {
      app: 'id of the app',
      url: 'address of the server',
      user: 'name to log in with',
      password: 'password to log in with',
    },
  },
  user: {
    when: '`user list`: once per account. The other actions of `user`: the account as it is then.',
    fields: {
      app: 'id of the app',
      name: 'user name',
      email: 'e-mail address; absent: none',
      role: '`admin`, `moderator`, `user`, or another role of the app',
      state: '`active`, `disabled`, or why it cannot be used: `pending`, `unconfirmed`, `suspended`, …',
    },
  },
  password: {
    when: '`user add` and `user password`: the generated password of an account, shown once. **It is a secret.**',
    fields: {
      app: 'id of the app',
      url: 'address of the server',
      user: 'user name',
      password: 'its new password',
    },
  },
  unchanged: { when: 'There was nothing to change.', fields: {} },
  end: {
    when: 'A run is complete. A run that fails ends with `problem` instead.',
    fields: { exit: 'the exit code', proven: 'true: every proof succeeded' },
  },
  plan: {
    when: '`plan` and `--dry-run`: what `apply` would do.',
    fields: {} as Record<string, string>,
  },
  generation: {
    when: '`rollback` without a number: once per generation, newest first.',
    fields: {
      number: 'number for `rollback NUMBER`',
      at: 'when it was written, in ISO 8601',
      changed: 'keys of the answers that differ from the generation before',
    },
  },
  status: {
    when: '`status`.',
    fields: {
      folder: 'absolute path of the site directory',
      containers:
        'one object per service or other container: `service`, `state` (`missing`: no container), `health` (absent: no health check), `restarts`, `app` (null: of the whole site), `fault` (null: as it should be), `remark` (null: none), `isStarting`',
      proven: 'true: the last receipt is complete, and the site has not changed since',
      at: 'when it was proven last, in ISO 8601; absent: never',
      site: 'its name',
      seen: 'when this was looked up. Here and below times are in ISO 8601, sizes in bytes, and null is unknown unless said otherwise',
      state:
        '`runs`, `starts` (nothing is at fault, but something is not ready yet), `fails` (some containers are at fault), `down` (none runs)',
      runs: 'true: `state` is `runs` or `starts`, and the exit code is 0',
      notes:
        'sentences about what is in progress or was interrupted: an upgrade, a restore, a move, a goodbye',
      apps: 'one object per app: `id`, `name`, `url`, `state`, `version`, `newer` (null: none is known), `people` (`accounts`, `active` in the last month, `posts`, `at`: null if the app answered now), `jobs` (`waiting`, `oldestSeconds`: null if none waits or it is not recorded, `later`: jobs that are due later, such as failed ones, `failed`: for good, `queues`)',
      disk: '`at`: when the parts were measured; `parts`: `what`, `bytes` and `cached` (copies of remote files, part of `bytes`); `images`; `free`: `path` and `bytes`; `fullInDays` (null: not as far as is known); `isForecast`: there are enough readings for that',
      memory: '`total` and `available` of the host, `site`: used by its containers',
      certificates:
        'one object per name: `name`, `to` (when it expires), `issuer`; null: your own proxy has them',
      mail: '`mode`, `server` (null: none, or the catcher), `proof`: `at` and `ok` of the last test mail (null: none)',
      backup:
        '`isConfigured`; `last`: `at` and `bytes` of the newest (null: none); `drill`: `at` and `ok` (null: none); `sheet`: when the recovery sheet was written (null: never)',
      receipt: '`at`, `proven`, `isCurrent` (not changed since), `failed`: titles of proofs; null: none',
      page: 'the public status page: `url`, `checked` (null: not yet); null: there is none',
      maintained: 'when `maintain` ran last; null: never',
      advice:
        'one object per finding: `what`, `next` (empty: `what` says it), `at` (when `maintain` found it; null: now)',
    },
  },
  mail: {
    when: '`mail`: once per mail in the catcher, oldest first.',
    fields: {
      from: 'address of the sender',
      to: 'addresses of the recipients, separated by commas',
      subject: 'subject',
      at: 'when it arrived, in ISO 8601',
      text: 'the mail as text',
    },
  },
  secrets: {
    when: '`secrets`. It has no value of a secret.',
    fields: {
      secrets:
        'one object per secret: `name`, `class` (`forever`, `steps` or `free`), `created`, `fingerprint`, `about`, `rotates` (true: `secrets rotate` replaces it)',
    },
  },
  exported: {
    when: '`secrets export`, `backup sheet` or `doctor bundle` has written its file.',
    fields: { path: 'absolute path of the file' },
  },
  backup: {
    when: '`backup`: once per repository.',
    fields: {
      repository: 'address of the repository',
      ok: 'true: the backup is complete and was checked',
      snapshot: 'id of the backup; absent: there is none',
      bytes: 'size of all its files',
      added: 'bytes that this backup added to the repository',
      why: 'why it failed; absent: it did not',
    },
  },
  cleanup: {
    when: '`cleanup` and `maintain`: the sizes in bytes before and after a clean-up.',
    fields: {
      dryRun: 'true: nothing was removed, and both are the same',
      free: 'directory → free bytes before and after',
      volumes: 'key of the volume → its bytes before and after',
    },
  },
  upgrade: {
    when: '`upgrade`: once per app; with --databases once per app whose database is upgraded.',
    fields: {
      app: 'id of the app',
      from: 'its version, or that of its database server: `PostgreSQL 15`',
      to: 'the version to upgrade to; absent: there is none',
      state:
        '`available` (only with --check), `current` (there is no newer version), `upgraded`, or `undone` (it failed, and the previous version runs again)',
      seconds: 'for how long the site was in maintenance mode; absent: it was not',
    },
  },
  goodbye: {
    when: '`uninstall --goodbye` and `remove --goodbye`: what an app has left to send to other servers, repeatedly.',
    fields: {
      app: 'id of the app',
      accounts: 'accounts whose deletion is in no queue yet',
      deliveries: 'deliveries that were not tried yet',
      unreached: 'servers with deliveries that failed so far',
      complete: 'true: nothing is left, or only servers that did not answer',
    },
  },
  media: {
    when: '`media move`: what is to be moved, and the result; `media remove-old`.',
    fields: {
      app: 'id of the app',
      to: 'where its media go or are: `local` (this host) or `s3` (the bucket)',
      state:
        '`plan`; `moved`; `filled`: the place had been changed before, and older files of this host were copied; `removed`: the copy in the other place was deleted',
      files: 'number of files',
      bytes: 'their size',
      left: 'bytes that are not in the new place yet',
    },
  },
  snapshot: {
    when: '`backup list`: once per backup, oldest first.',
    fields: {
      repository: 'address of the repository',
      id: 'id for `restore --at`',
      at: 'when it was made, in ISO 8601',
      bytes: 'size of all its files; absent: unknown',
    },
  },
  left: {
    when: '`uninstall` and `reset`: what they do not remove.',
    fields: {
      directories: 'your own directories with data',
      servers: 'external databases, Redis servers and buckets with data of the site',
    },
  },
  tune: {
    when: '`doctor --tune`. Sizes are in bytes; what is absent could not be read.',
    fields: {
      memory: 'of the host',
      available: 'of it, free',
      cores: 'of the host',
      pressure: 'share of the last minute in which some process waited for a core, 0 to 1',
      apps: 'one object per app: `id`, `name`, `size`, `larger` and `largerMiB` (the next size), `waiting` and `oldest` (jobs, seconds), `containers`, `databases`, `valkeys`',
      unseen: 'sentences about what could not be read',
      proposal: '`change`, `because`, `command` (empty: none); null: nothing needs a change',
    },
  },
  help: { when: '`help` and `--help`.', fields: { text: 'the help' } },
  completion: { when: '`completion`.', fields: { shell: 'its argument', script: 'the script' } },
  version: { when: '`version` and `--version`.', fields: { version: 'version of fedi-setup' } },
  problem: {
    when: 'The command failed. It is the last event, and standard error says the same.',
    fields: {
      code: 'the kind of error, see below',
      exit: 'the exit code',
      what: 'what happened',
      means: 'what follows from it; absent: nothing more',
      next: 'what to do; absent: nothing',
      log: 'last lines of the program or container that failed; absent: none',
    },
  },
};

/** What the exit codes mean; the codes of `problem`. */
export const CODES = {
  failed:
    'A step failed; completed steps are kept. `doctor`: there is a blocker. `status`: the site does not run. `plan --check`: something would change.',
  usage: 'The command line, an answer or a file of the site is wrong.',
  refused: 'The change would lose or expose data, or was not confirmed.',
  preflight: 'The host or its Docker engine is not ready.',
  unproven: 'The site runs, but a proof failed.',
  locked: 'Another run works on this site.',
} as const;
