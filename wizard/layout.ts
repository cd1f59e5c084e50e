/** Names of our own things in a site directory. */

/** Folder of manifest, generations, receipts and run lock. */
export const OWN = '.fedi';

/** Begins the name of a folder where a rendered set is tried out before it replaces anything. */
export const TRIAL = 'trial-';

/** Folder of pictures that Caddy shows in place of an app's own; below the one it has mounted. */
export const PICTURES = 'caddy/pictures';

/** Answers of a conversation that was broken off. */
export const DRAFT = 'conversation.json';

/** The swap file that a run makes when it is told to, and where it is noted so that it is there after a restart too. */
export const SWAP = { file: '/swapfile', fstab: '/etc/fstab' } as const;

/** How long services took to be well again, for the next plan. */
export const STARTS = 'starts.json';
