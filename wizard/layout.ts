/** What a site directory holds, and the names of our own things in it. */

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

/** A file that a site should have. */
export interface PlannedFile {
  /** Relative to the site directory. */
  readonly path: string;
  readonly text: string;
  /** What is written instead of the text, which then is about it: a picture. */
  readonly bytes?: Buffer;
  readonly mode: number;
  /** Holds secrets: its text is never shown, nor kept in a generation. */
  readonly secret: boolean;
  /** Generated files are compared with the manifest; answers and lock are the person's to edit. */
  readonly generated: boolean;
}
