import { appOf } from '../../apps/index.ts';
import { runtimeOf } from '../../docker/runtime.ts';
import { EXIT, Problem } from '../../problem.ts';
import { existingSite } from '../find-site.ts';
import type { Run } from '../command.ts';

/** Runs the app's own tool in its container and returns its exit code. */
export const toolNamed =
  (name: string): Run =>
  async (context) => {
    const { folder, config, engine } = await existingSite(context);
    await engine.info();
    const app = config.apps.find(({ id }) => appOf(id).cli.name === name);
    if (app === undefined)
      throw new Problem(EXIT.USAGE, `This site has no app with the tool ${name}.`, {
        next: `Its apps: ${config.apps.map(({ id }) => id).join(', ')}.`,
      });
    const { service, argv } = appOf(app.id).cli;
    const isRunning = (await runtimeOf(engine, config.name).running(service)) !== undefined;
    const terminal = process.stdin.isTTY && process.stdout.isTTY ? [] : ['--no-TTY'];
    const [program = '', ...rest] = argv(context.words);
    return engine.composeAttached(
      folder,
      isRunning
        ? ['exec', ...terminal, service, program, ...rest]
        : ['run', '--rm', '--no-deps', ...terminal, '--entrypoint', program, service, ...rest],
    );
  };
