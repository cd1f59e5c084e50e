/** All components. A new one is a file here, its Compose file, and one line in this list. */
import type { Component } from './component.ts';
import { MAIL_CATCHER } from './mail-catcher.ts';

export const COMPONENTS: readonly Component[] = [MAIL_CATCHER];
