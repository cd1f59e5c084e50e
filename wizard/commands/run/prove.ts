import { refuseMoved } from '../../apply/unfinished.ts';
import { proveSite } from '../../apply/receipt.ts';
import { withRunLock } from '../with-lock.ts';
import { EXIT } from '../../problem.ts';
import { Store } from '../../secrets/store.ts';
import { existingSite } from '../find-site.ts';
import { sayFailed } from '../setup.ts';
import type { Run } from '../command.ts';

export const run: Run = async (context) => {
  const { folder, config, engine } = await existingSite(context);
  await engine.info();
  await refuseMoved(folder);
  return withRunLock(context, folder, async () => {
    const { flags, progress, now } = context;
    const store = await Store.open(folder);
    const receipt = await proveSite({ folder, config, store, engine, progress, now, mail: flags.mail });
    sayFailed(progress, receipt, config);
    return receipt.proven ? EXIT.OK : EXIT.UNPROVEN;
  });
};
