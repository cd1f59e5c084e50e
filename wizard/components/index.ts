/** All components. A new one is a file here, its Compose file, and one line in this list. */
import type { Component } from './component.ts';
import { MAIL_CATCHER } from './mail-catcher.ts';
import { MONITORING } from './monitoring.ts';
import type { Config } from '../config/config.ts';

/** In the order in which they edit the Compose file. */
export const COMPONENTS: readonly Component[] = [MAIL_CATCHER, MONITORING];

/** Those of a site. */
export const componentsOf = (config: Config): Component[] =>
  COMPONENTS.filter(({ isWanted }) => isWanted(config));
