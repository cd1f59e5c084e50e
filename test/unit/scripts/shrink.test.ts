/** What the bundle leaves out of its packages. */
import { expect, test } from 'vitest';
import { calledMethods } from '../../../scripts/shrink.ts';

const DOCKER = `
/**
 * Unlike docker.ping(), it needs nothing.
 */
Docker.prototype.info = function(callback) {
  return this.modem.dial(util.options(callback));
};

Docker.prototype.ping = function() {
  return this.modem.dial({});
};

module.exports = Docker;
`;
const UTIL = `
module.exports.options = function(callback) {
  return { callback: callback };
};

module.exports.pack = function() {
  return tar.pack();
};
`;

test('keeps the methods that are called, what they call, and everything that is no method', () => {
  const [docker = '', util = ''] = calledMethods('await docker.info();', [DOCKER, UTIL]);
  expect(docker).toContain('prototype.info');
  expect(docker).toContain('module.exports = Docker;');
  expect(docker).not.toContain('prototype.ping');
  expect(util).toContain('exports.options');
  expect(util).not.toContain('exports.pack');
});

test('a call in a comment is no call', () => {
  const [docker = ''] = calledMethods('/** Like docker.ping(). */\nawait docker.info();', [DOCKER, UTIL]);
  expect(docker).not.toContain('prototype.ping');
});
