#!/usr/bin/env node
/* Runs on any version of Node, to say which one is needed; loads the rest only then. */
declare const VERSION: string;

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && minor < 15)) {
  process.stderr.write(
    `Error: fedi-setup needs Node.js 20.15 or newer; this is ${process.versions.node}.\n  Next: install a newer version (https://nodejs.org), then run this again.\n`,
  );
  process.exitCode = 4;
} else if (
  // Only the bundle knows it here.
  typeof VERSION === 'string' &&
  process.argv.length === 3 &&
  /^(--version|-[vV]|version)$/.test(process.argv[2] || '')
) {
  process.stdout.write(`${VERSION}\n`);
} else {
  void import('./cli/main.ts').then(async ({ main }) => {
    const code = await main(process.argv.slice(2));
    // An open prompt, or a call that an engine never answers, must not keep a finished run alive. First all output is written.
    for (const stream of [process.stdout, process.stderr])
      await new Promise((resolve) => {
        stream.write('', resolve);
      });
    process.exit(code);
  });
}
