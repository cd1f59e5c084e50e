/** What a run would do, as data: built once, printed for people or as JSON, then executed. */
import type { Change } from './diff.ts';

/** A plan. It is serialisable, has no secret, and names files, services and secrets only. */
export interface Plan {
  /** Absolute path of the site directory. */
  readonly folder: string;
  /** Number of the site's current generation; 0: the site is new. */
  readonly generation: number;
  /** Swap file to create. */
  readonly swap?: { readonly file: string; readonly gib: number };
  /** Images that the host does not have. */
  readonly images: readonly ImageAction[];
  /** Names of secrets to generate, and of those that get a new value. */
  readonly secrets: { readonly generate: readonly string[]; readonly rotate: readonly string[] };
  /** Files to write or remove. */
  readonly files: readonly FileAction[];
  /** The administrator's files for Compose or Caddy changed since the last run. */
  readonly ownFiles: boolean;
  /** Services by what happens to their containers. */
  readonly containers: {
    readonly create: readonly string[];
    readonly recreate: readonly string[];
    readonly remove: readonly string[];
  };
  /** Service → seconds it was down when it was last recreated, as far as known. */
  readonly starts: Readonly<Record<string, number>>;
  /** Caddy gets a new configuration while it runs. */
  readonly reload: boolean;
  /** Steps of the apps; completed ones are skipped. */
  readonly steps: readonly { readonly id: string; readonly title: string }[];
  /** Apps whose password has not been shown yet. */
  readonly passwords: readonly string[];
  /** The current generation has no complete receipt. */
  readonly prove: boolean;
  /** What the change leaves behind, in sentences. */
  readonly notes: readonly string[];
}

export interface ImageAction {
  readonly name: string;
  /** What is pulled, with the digest if it is known, or the name that the built image gets. */
  readonly reference: string;
  readonly action: 'pull' | 'build';
}

export interface FileAction {
  /** Relative to the site directory. */
  readonly path: string;
  readonly kind: Exclude<Change['kind'], 'same'>;
  /** Changed or created by hand since fedi-setup wrote it. */
  readonly edited: boolean;
}

export const filesOf = (changes: readonly Change[]): FileAction[] =>
  changes.flatMap(({ path, kind, edited }) => (kind === 'same' ? [] : [{ path, kind, edited }]));

/** References of the images that the plan pulls. */
export const pullsIn = ({ images }: Plan): string[] =>
  images.filter(({ action }) => action === 'pull').map(({ reference }) => reference);

/** Whether executing the plan changes the host, the directory or a container. */
export const hasChanges = (plan: Plan): boolean =>
  plan.swap !== undefined ||
  plan.ownFiles ||
  plan.reload ||
  [
    plan.images,
    plan.secrets.generate,
    plan.secrets.rotate,
    plan.files,
    plan.containers.create,
    plan.containers.recreate,
    plan.containers.remove,
  ].some((list) => list.length > 0);

/** Whether there is nothing to do: nothing to change, to show or to prove. */
export const isEmpty = (plan: Plan): boolean =>
  !hasChanges(plan) && plan.passwords.length === 0 && !plan.prove;
