/** Accounts of people on a server, for `fedi-setup user`: what an app can do about them, with its own tool. */
import type { Command, Output } from '../docker/engine.ts';
import type { Secret } from '../secrets/secret.ts';

export type Role = 'admin' | 'moderator' | 'user';

/** An account. */
export interface Person {
  /** As the app spells it. */
  readonly name: string;
  readonly email: string | undefined;
  /** A {@link Role}, or another role of the app in lower case. */
  readonly role: string;
  /** `active`, `disabled`, or why it cannot be used. */
  readonly state: string;
}

export interface NewPerson {
  readonly name: string;
  readonly email: string | undefined;
  readonly role: Role;
}

/** A command and the service whose container runs it. */
export interface Call extends Command {
  readonly service: string;
}

export interface People {
  /** Roles that it has; `others` is a sentence about the rest. `set` replaces the role of an account. */
  readonly roles: {
    readonly names: readonly Role[];
    readonly set?: (name: string, role: Role) => Call;
    readonly others: string;
  };
  /** Its accounts need an e-mail address. */
  readonly needsEmail: boolean;
  /** Prints all accounts, or at least the one of that name. */
  readonly list: (name?: string) => Call;
  /** Reads what {@link list} printed. */
  readonly read: (stdout: string) => readonly Person[];
  /** The first command creates the account and prints its password. */
  readonly add: (person: NewPerson) => readonly [Call, ...Call[]];
  /** Sets a password; absent: generates one and prints it. */
  readonly password: (name: string, chosen?: Secret) => Call;
  /** Group 1 is the password in what these commands print. */
  readonly generated: RegExp;
  /** `means`: what a disabled account can no longer do. `instead`: it cannot disable one; sentences with NAME. */
  readonly disabling:
    | {
        readonly disable: (name: string) => Call;
        readonly enable: (name: string) => Call;
        readonly means: string;
      }
    | { readonly instead: string };
  /** State of an account that is neither active nor disabled → what to do about it; sentences with NAME. */
  readonly states?: Readonly<Record<string, string>>;
  /** Why a command failed, as the end of a sentence; undefined: its output does not say. */
  readonly reason?: (output: Output) => string | undefined;
}

/** The last line that is a JSON array: the app may print warnings before it. Throws if there is none. */
export const rowsIn = <Row>(stdout: string): Row[] =>
  JSON.parse(stdout.split('\n').findLast((line) => line.startsWith('[')) ?? '') as Row[];
