/** The mail catcher (Mailpit): accepts every mail, delivers none. For labs and tests. */
import { isOf, joinNetwork, service } from '../stack/compose.ts';
import type { Component } from './component.ts';

const ID = 'mail';

export const MAIL_CATCHER: Component = {
  id: ID,
  images: { [ID]: { reference: 'docker.io/axllent/mailpit:v1.30.5' } },
  isWanted: ({ mail }) => mail.server?.isCatcher === true,
  owns: (name) => name === ID,
  clients: ({ mailClients }) => mailClients,

  /** Each app gets a separate network to it: on a shared one the apps could reach each other. */
  shape: (file, { apps }) => {
    const { [ID]: shared = {}, ...others } = file.networks;
    file.networks = others;
    delete service(file, ID).networks?.[ID];
    for (const { id } of apps) {
      const own = `${id}_${ID}`;
      for (const [name, { networks = {} }] of Object.entries(file.services)) {
        if (!isOf(id, name) || networks[ID] === undefined) continue;
        delete networks[ID];
        networks[own] = {};
        file.networks[own] = { ...shared };
      }
      if (own in file.networks) joinNetwork(file, ID, own);
    }
  },
};
