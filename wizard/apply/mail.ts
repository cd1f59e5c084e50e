/** Tries new and changed mail settings before anything is written. */
import { thisHost } from '../checks/host.ts';
import type { Config } from '../config/config.ts';
import { mailIn } from '../config/mail.ts';
import type { Answers } from '../config/question.ts';
import type { Engine } from '../docker/engine.ts';
import { climb } from '../mail/ladder.ts';
import { climbFor } from '../mail/site.ts';
import { EXIT, Problem } from '../problem.ts';
import type { Progress } from '../progress.ts';
import type { Secret } from '../secrets/secret.ts';
import type { Store } from '../secrets/store.ts';

/** What the ladder depends on. */
const settingsOf = (answers: Answers): string =>
  JSON.stringify([
    mailIn(answers),
    ...Object.entries(answers).filter(([key]) => /^(trust\.ca|apps(\.[^.]+\.(domain|email))?)$/.test(key)),
  ]);

export interface MailTrial {
  readonly engine: Engine;
  readonly config: Config;
  readonly store: Store;
  /** Reference of Caddy's image. */
  readonly image: string;
  /** PEM of the CA certificates of the administrator's own servers. */
  readonly ownCas: string | undefined;
  /** The answers of the running site, and its password for the mail server. */
  readonly before: Answers;
  readonly passwordBefore: Secret | undefined;
  readonly answers: Answers;
  /** By --skip-check. */
  readonly isSkipped: boolean;
  readonly progress: Progress;
}

/** Throws a Problem if the server will not take the apps' mail. Resolves to whether the trial was left out on request. */
export async function tryMail(trial: MailTrial): Promise<boolean> {
  const { engine, config, store, image, ownCas, before, passwordBefore, answers, isSkipped, progress } =
    trial;
  const { server } = config.mail;
  // The site's own catcher starts with the site.
  if (server === undefined || server.isCatcher) return false;
  const isSame =
    settingsOf(before) === settingsOf(answers) &&
    passwordBefore?.reveal() === store.find('mail.password')?.reveal();
  if (isSame) return false;
  const title = `The mail server ${server.host}:${server.port}`;
  progress.start('trial.mail', title);
  if (isSkipped) {
    progress.skip('not tried (--skip-check mail)');
    return true;
  }
  const input = await climbFor({
    config,
    engine,
    secret: (name) => store.find(name),
    image,
    ownCas,
    addressRecords: thisHost.addressRecords,
  });
  const rungs = input === undefined ? [] : await climb(input, (rung) => progress.update(rung.title));
  const failed = rungs.filter(({ state }) => state === 'failed');
  if (failed.length > 0) {
    progress.fail();
    throw new Problem(
      EXIT.USAGE,
      `${title}: ${failed.map(({ title: rung, seen }) => `${rung}: ${seen}`).join('; ')}.`,
      {
        means: 'Tried from inside a container, as the apps connect. Nothing was changed.',
        next: `${[...new Set(failed.map(({ next }) => next))].join('\n')}\n(--skip-check mail skips this.)`,
      },
    );
  }
  const login = rungs.find(({ id }) => id === 'login')?.seen;
  progress.done(login === undefined ? 'it accepts mail without a log-in' : `log-in as ${login}`);
  for (const { title: rung, seen, next } of rungs.filter(({ state }) => state === 'later'))
    progress.say(`  ! ${rung}: ${seen}\n    ${next}`);
  return false;
}
