/** Every check that can fail on a real host: names, connections from containers, engines, registries, clocks, swap. */
import { execFileSync, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer as plainServer } from 'node:http';
import type { Server } from 'node:http';
import { createServer as tlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { makeSwap, swapIsThere } from '../../wizard/apply/swap.ts';
import { isPublic } from '../../wizard/config/addresses.ts';
import type { CheckResult } from '../../wizard/checks/check.ts';
import { thisHost } from '../../wizard/checks/host.ts';
import { connect } from '../../wizard/docker/docker.ts';
import { testCa } from '../support/acme.ts';
import { contextOf, runCheck } from '../support/checks.ts';
import { dnsServer } from '../support/dns.ts';
import type { Dns, Zone } from '../support/dns.ts';
import { applyIn, asNobody, behind, snapshot, tmpfs, unmountAll, until } from '../support/faults.ts';
import { IMAGES, docker, testSite, tool } from '../support/site.ts';
import type { Run } from '../support/site.ts';

const ADDRESS = 172;
const site = testSite('preflight', ADDRESS);
const scratch = mkdtempSync(join(tmpdir(), 'fedi-preflight-'));

afterAll(() => {
  unmountAll();
  site.remove();
  rmSync(scratch, { recursive: true, force: true });
});

interface Found {
  readonly id: string;
  readonly level: string;
  readonly what: string;
  readonly seen: string;
}

const findings = ({ events }: Run): Found[] =>
  events.filter(({ event }) => event === 'finding') as unknown as Found[];
const shortly = (run: Run): string[] => findings(run).map(({ id, level }) => `${id} ${level}`);

const NAME = 'social.example.org';
const acme = { ...site.env, FEDI_SNAC_DOMAIN: NAME, FEDI_TLS_MODE: 'acme' };

describe('names, with our own DNS server and interfaces', () => {
  const LINK = 'fedi-test0';
  const OWN = ['203.0.113.7', '2001:db8:7::7'];
  let dns: Dns;
  const ip = (...argv: string[]): void => {
    execFileSync('ip', argv, { stdio: 'ignore' });
  };
  beforeAll(async () => {
    dns = await dnsServer(site.bind, 53);
    writeFileSync(join(scratch, 'resolv.conf'), `nameserver ${site.bind}\n`);
  });
  const withLink = (): void => {
    ip('link', 'add', LINK, 'type', 'bridge');
    ip('address', 'add', `${OWN[0]}/32`, 'dev', LINK);
    ip('address', 'add', `${OWN[1]}/128`, 'dev', LINK, 'nodad');
    ip('link', 'set', LINK, 'up');
  };
  const withoutLink = (): void => {
    try {
      ip('link', 'delete', LINK);
    } catch {
      // It did not exist.
    }
  };
  afterEach(withoutLink);
  afterAll(() => dns.close());

  /** In a separate mount namespace, where resolv.conf names our server. */
  const dryRun = (zone: Zone, ...argv: string[]): Promise<Run> => {
    dns.zone = zone;
    return behind(
      ['unshare', '--mount', 'sh', '-c', 'mount --bind "$CONF" /etc/resolv.conf && exec "$@"', 'sh'],
      ['apply', '--dir', site.folder, '--json', '--dry-run', ...argv],
      { env: { ...acme, CONF: join(scratch, 'resolv.conf') } },
    );
  };
  const here = { A: [OWN[0] as string], AAAA: [OWN[1] as string] };

  test('all point to this host', async () => {
    withLink();
    const run = await dryRun({ [NAME]: here });
    expect([run.code, shortly(run), run.stderr]).toEqual([0, [], '']);
  });

  // prettier-ignore
  test.each<[string, Zone, string[], RegExp]>([
    ['no such name', {}, ['dns blocker'], /has no address in the DNS/],
    ['AAAA elsewhere', { [NAME]: { ...here, AAAA: ['2001:db8::9'] } }, ['dns blocker'], /The AAAA record of social\.example\.org points elsewhere: 2001:db8::9.*\| DNS: .*this host has .*2001:db8:7::7/s],
    ['A elsewhere', { [NAME]: { A: ['198.51.100.1'] } }, ['dns blocker'], /The A record of social\.example\.org points elsewhere/],
    ['CAA', { [NAME]: here, 'example.org': { CAA: ['0 issue ca.example'] } }, ['caa blocker'], /CAA record of example\.org forbids/],
    ['both, reported at once', { 'example.org': { CAA: ['0 issue ;'] } }, ['dns blocker', 'caa blocker'], /not ready:\n- .*no address.*\n- .*forbids.*--skip-check dns,caa skips/s],
  ])('%s: exit 4, and nothing written', async (_, zone, expected, words) => {
    withLink();
    const run = await dryRun(zone);
    expect(shortly(run)).toEqual(expected);
    expect(run.stderr).toMatch(words);
    expect(run.code).toBe(4);
    expect(existsSync(site.folder)).toBe(false);
    expect((await dryRun(zone, '--skip-check', expected.map((one) => one.split(' ')[0]).join(','))).code).toBe(0);
  });

  test.skipIf(thisHost.addresses().some(isPublic))(
    'behind NAT: a warning, and the run continues',
    async () => {
      const run = await dryRun({ [NAME]: { A: ['203.0.113.99'] } });
      expect(shortly(run)).toEqual(['dns warning']);
      expect(findings(run)[0]?.what).toMatch(/Behind NAT\?/);
      expect(run.code).toBe(0);
    },
  );

  test('failing name servers: a warning', async () => {
    const run = await dryRun({ [NAME]: 'SERVFAIL' });
    expect(shortly(run)).toEqual(['dns warning', 'caa warning']);
    expect(run.code).toBe(0);
  });
});

describe('from a real container', () => {
  const directory = (url: string) => ({ 'tls.mode': 'directory', 'tls.directory': url });
  const look = async (id: string, url: string, more: object = {}): Promise<CheckResult | undefined> =>
    runCheck(
      id,
      contextOf(directory(url), { engine: await connect(), caddy: IMAGES.FEDI_IMAGES_CADDY, ...more }),
    );
  // Node does not list an interface without a connection.
  const shown = execFileSync('ip', ['-4', '-oneline', 'address', 'show', 'docker0'], { encoding: 'utf8' });
  const gateway = /inet ([\d.]+)/.exec(shown)?.[1] ?? '';

  test('a name that containers cannot resolve: exit 4 after the images, and nothing written', async () => {
    const run = await applyIn(
      site.folder,
      {
        ...site.env,
        FEDI_TLS_MODE: 'directory',
        FEDI_TLS_DIRECTORY: 'https://ca.fedi-setup-test.example.net/dir',
      },
      ['--skip-check', 'clock'],
    );
    expect(run.stderr).toMatch(/Containers cannot resolve ca\.fedi-setup-test\.example\.net/);
    expect(run.stderr).toMatch(/\| Container network: in a container, curl https:.*\(6\)/);
    expect(run.code).toBe(4);
    const files = Object.values(snapshot(site.folder)).filter((text) => text.includes(' '));
    expect([files, site.containers()]).toEqual([[], {}]);
    rmSync(site.folder, { recursive: true, force: true });
  });

  test('a port without a listener', async () => {
    const looked = await look('outside', `https://${gateway}:9/dir`);
    expect(looked?.found.map(({ level, what }) => `${level} ${what}`)).toEqual([
      `blocker Containers cannot reach ${gateway} over HTTPS.`,
    ]);
    expect(looked?.seen).toMatch(/\(7\)/);
  });

  test('no IPv6', async () => {
    const host = { addresses: () => ['2001:db8::7'] };
    expect((await look('ipv6', 'https://[2001:db8::9]/dir', { host }))?.found).toMatchObject([
      { level: 'warning', what: 'This host has IPv6, but its containers do not.' },
    ]);
  });

  test('an HTTPS answer is enough, and its date is compared', async () => {
    const ca = testCa();
    const { certificate, key } = ca.issue('ca.fedi.test');
    let skewed = 0;
    const server = tlsServer({ key: readFileSync(key), cert: readFileSync(certificate) }, (_, reply) => {
      reply.setHeader('Date', new Date(Date.now() + skewed * 1000).toUTCString());
      reply.end();
    });
    server.listen(0, gateway);
    await once(server, 'listening');
    try {
      const url = `https://${gateway}:${(server.address() as AddressInfo).port}/dir`;
      expect((await look('outside', url))?.found).toEqual([]);
      const clock = async (seconds: number): Promise<string[]> => {
        skewed = seconds;
        const { found = [] } = (await look('clock', url, { host: thisHost, now: () => new Date() })) ?? {};
        return found.map(({ level, what }) => `${level} ${what}`);
      };
      expect(await clock(0)).toEqual([]);
      expect(await clock(-100)).toEqual([
        expect.stringMatching(/^warning The clock of this host is (99|10[01]) seconds fast/),
      ]);
      expect(await clock(7200)).toEqual([
        expect.stringMatching(/^blocker The clock of this host is 7(199|20[01]) seconds slow/),
      ]);
    } finally {
      server.close();
      ca.remove();
    }
  });
});

describe('registries', () => {
  let server: Server;
  let answer: (path: string) => { status: number; body: object };
  let registry: string;
  beforeAll(async () => {
    server = plainServer((request, reply) => {
      const { status, body } = answer(request.url ?? '');
      reply.writeHead(status, {
        'Content-Type': 'application/json',
        'Docker-Distribution-Api-Version': 'registry/2.0',
      });
      reply.end(JSON.stringify(body));
    });
    server.listen(0, site.bind);
    await once(server, 'listening');
    registry = `${site.bind}:${(server.address() as AddressInfo).port}`;
  });
  afterAll(() => server.close());
  const dryRun = (image: string): Promise<Run> =>
    applyIn(site.folder, { ...site.env, FEDI_IMAGES_SNAC: image }, ['--dry-run', '--skip-check', 'clock']);

  test('that does not have the image', async () => {
    answer = (path) =>
      path === '/v2/'
        ? { status: 200, body: {} }
        : { status: 404, body: { errors: [{ code: 'MANIFEST_UNKNOWN', message: 'manifest unknown' }] } };
    const run = await dryRun(`${registry}/none/here:1`);
    expect(shortly(run)).toEqual(['registry blocker']);
    expect(run.stderr).toMatch(/none\/here:1 could not be pulled: .*manifest unknown/);
    expect(run.stderr).toMatch(/The registry does not have it/);
    expect(run.code).toBe(4);
  });

  test('that requires a log-in: left to the pull', async () => {
    answer = () => ({
      status: 401,
      body: { errors: [{ code: 'UNAUTHORIZED', message: 'authentication required' }] },
    });
    const run = await dryRun(`${registry}/none/here:1`);
    expect([run.code, shortly(run)]).toEqual([0, []]);
  });

  test('that is unreachable', async () => {
    const run = await dryRun('127.0.0.1:9/none/here:1');
    expect(shortly(run)).toEqual(['registry blocker']);
    expect(run.stderr).toMatch(/The registry could not be reached/);
    expect(existsSync(site.folder)).toBe(false);
  });
});

describe('a separate engine', () => {
  const root = join(scratch, 'engine');
  const socket = join(root, 'run.sock');
  const config = join(scratch, 'docker-config');
  let engine: ChildProcess;
  const env = { ...site.env, DOCKER_CONFIG: config };
  const dryRun = (): Promise<Run> =>
    applyIn(site.folder, env, ['--dry-run', '--skip-check', 'registry,clock']);
  beforeAll(async () => {
    tmpfs(root, 'size=128m,nr_inodes=3000');
    // prettier-ignore
    // In a separate network namespace, so that it cannot remove this engine's bridge.
    engine = spawn('unshare', ['--net', 'dockerd', '--host', `unix://${socket}`, '--data-root', join(root, 'data'),
      '--exec-root', join(root, 'exec'), '--pidfile', join(root, 'pid'), '--bridge', 'none',
      '--iptables=false', '--storage-driver', 'vfs'], { stdio: 'ignore' });
    const asked = { env: { ...process.env, DOCKER_HOST: `unix://${socket}` }, stdio: 'ignore' } as const;
    await until('an engine', () => {
      try {
        execFileSync('docker', ['version'], asked);
        return true;
      } catch {
        return false;
      }
    });
    mkdirSync(config);
    const context = (...argv: string[]): void => {
      execFileSync('docker', ['context', ...argv], { env, stdio: 'ignore' });
    };
    // The plugin may be in the user's home.
    const plugins = join(process.env['HOME'] ?? '/root', '.docker/cli-plugins');
    if (existsSync(plugins)) execFileSync('cp', ['-r', plugins, config]);
    context('create', 'other', '--docker', `host=unix://${socket}`);
    context('use', 'other');
  });
  const stopped = async (): Promise<void> => {
    if (engine.exitCode !== null || engine.signalCode !== null) return;
    engine.kill('SIGTERM');
    await once(engine, 'exit');
  };
  afterAll(stopped);

  test('selected by a context, with a small disk and few inodes: reports all at once', async () => {
    const run = await dryRun();
    expect(shortly(run)).toEqual(['docker warning', 'disk blocker', 'disk blocker']);
    expect(findings(run)[0]?.what).toContain(`the context other names unix://${socket}`);
    expect(run.stderr).toMatch(/Only \d+ MB free for Docker’s data \(.*\/engine\/data\); 1\.0 GB needed/);
    expect(run.stderr).toMatch(/Only \d+ inodes free for Docker’s data/);
    expect(run.code).toBe(4);
  });

  test('that was stopped', async () => {
    await stopped();
    const run = await dryRun();
    expect(run.stderr).toMatch(
      /No Docker engine answers at .*run\.sock\. This address comes from the context other\./,
    );
    expect(run.stderr).toMatch(/docker context use default/);
    expect(run.code).toBe(4);
  });

  test('an unknown context', async () => {
    const run = await applyIn(site.folder, { ...env, DOCKER_CONTEXT: 'nowhere' });
    expect(run.stderr).toMatch(/The Docker context nowhere cannot be used/);
    expect(run.code).toBe(4);
    expect(existsSync(site.folder)).toBe(false);
  });
});

describe('doctor, on a running site', () => {
  // A test machine in a cloud has a metadata service.
  const doctor = (...argv: string[]): Promise<Run> =>
    tool(['doctor', '--dir', site.folder, '--json', '--skip-check', 'metadata', ...argv]);
  const seenBy = ({ events }: Run): Record<string, unknown> =>
    Object.fromEntries(
      events.flatMap(({ event, id, state, note }) =>
        event === 'step' && state !== 'start' ? [[String(id).replace('check.', ''), `${state} ${note}`]] : [],
      ),
    );
  beforeAll(async () => {
    const run = await site.apply(['--skip-check', 'clock']);
    expect([run.code, run.stderr]).toEqual([0, '']);
  });

  test('no finding: a line for each check that applies, exit 0', async () => {
    const run = await doctor();
    expect([run.code, run.stderr]).toEqual([0, '']);
    expect(seenBy(run)).toMatchObject({
      docker: expect.stringMatching(/^done \d/),
      disk: expect.stringMatching(/^done .*inodes free in /),
      ports: expect.stringMatching(/^done .*tcp 80 ours, tcp 443 ours, udp 443 ours$/),
      containers: expect.stringMatching(/^done caddy (starting|healthy), snac (starting|healthy)$/),
      certificates: expect.stringMatching(/^done preflight\.fedi\.test until 20/),
    });
  });

  test('from inside its own container', async () => {
    const context = contextOf(
      {
        name: site.name,
        'tls.mode': 'directory',
        'tls.directory': 'https://ca.fedi-setup-test.example.net/',
      },
      // Without an image: only the running container can have answered.
      { engine: await connect() },
    );
    expect((await runCheck('outside', context))?.found).toMatchObject([
      { what: expect.stringMatching(/^Containers cannot resolve /) },
    ]);
  });

  test('a stopped container: its last lines, exit 1', async () => {
    docker('stop', site.containers()['snac'] as string);
    const run = await doctor();
    expect(shortly(run)).toEqual(['containers blocker']);
    expect(run.stderr).toMatch(/The container snac has stopped, with exit code 0\.[\s\S]*\| .*httpd stop/);
    expect(run.code).toBe(1);
  });

  test('Caddy removed, the other one still stopped: both, and no certificate', async () => {
    docker('rm', '--force', site.containers()['caddy'] as string);
    const run = await doctor();
    expect(shortly(run)).toEqual(['containers blocker', 'containers blocker', 'certificates blocker']);
    expect(run.stderr).toMatch(/- The container caddy does not exist\.\n- The container snac has stopped/);
    expect(run.code).toBe(1);
    expect((await doctor('--skip-check', 'containers,certificates')).code).toBe(0);
    const again = await site.apply(['--skip-check', 'clock']);
    expect([again.code, (await doctor()).code]).toEqual([0, 0]);
  });

  test('an unknown check', async () => {
    const run = await doctor('--skip-check', 'weather');
    expect(run.stderr).toMatch(/There is no check weather\.[\s\S]*disk +free bytes and inodes/);
    expect(run.code).toBe(2);
  });
});

describe('a swap file', () => {
  const folder = join(scratch, 'swap');
  const places = { file: join(folder, 'swapfile'), fstab: join(folder, 'fstab') };
  const off = (): void => {
    try {
      execFileSync('swapoff', [places.file], { stdio: 'ignore' });
    } catch {
      // It was not enabled.
    }
  };
  const names = (): string[] => Object.keys(snapshot(folder)).toSorted();
  const FSTAB = '# mine\nUUID=1 / ext4 defaults 0 1';
  const LINE = `${places.file} none swap sw 0 0\n`;
  afterEach(() => {
    off();
    unmountAll();
    rmSync(folder, { recursive: true, force: true });
  });
  const begin = (): void => {
    mkdirSync(folder, { recursive: true });
    writeFileSync(places.fstab, FSTAB, { mode: 0o644 });
  };

  test('is created, enabled and noted once; again: no change; after a restart it is enabled', async () => {
    begin();
    const before = await thisHost.swapMiB();
    await makeSwap(16, places);
    expect([await swapIsThere(places), (await thisHost.swapMiB()) - before]).toEqual([true, 15]);
    expect(readFileSync(places.fstab, 'utf8')).toBe(`${FSTAB}\n${LINE}`);
    const { mode, ino } = statSync(places.file);
    expect(mode & 0o777).toBe(0o600);
    await makeSwap(16, places);
    off();
    expect(await swapIsThere(places)).toBe(false);
    await makeSwap(16, places);
    expect([await swapIsThere(places), statSync(places.file).ino]).toEqual([true, ino]);
    expect(readFileSync(places.fstab, 'utf8')).toBe(`${FSTAB}\n${LINE}`);
    expect(names()).toEqual(['fstab', 'swapfile']);
  });

  test('a foreign file of that name stays unchanged', async () => {
    begin();
    writeFileSync(places.file, 'mine'.repeat(10_000), { mode: 0o600 });
    await expect(makeSwap(16, places)).rejects.toMatchObject({
      exit: 4,
      message: expect.stringMatching(/the kernel rejected/),
    });
    expect(readFileSync(places.file, 'utf8')).toBe('mine'.repeat(10_000));
    expect(readFileSync(places.fstab, 'utf8')).toBe(FSTAB);
  });

  test('a full disk, and a file system without swap files, leave no file', async () => {
    tmpfs(folder, 'size=4m');
    begin();
    await expect(makeSwap(16, places)).rejects.toMatchObject({
      exit: 4,
      message: expect.stringMatching(/the disk is full/),
    });
    await expect(makeSwap(2, places)).rejects.toMatchObject({
      exit: 4,
      message: expect.stringMatching(/the kernel rejected/),
    });
    expect(names()).toEqual(['fstab']);
    expect(readFileSync(places.fstab, 'utf8')).toBe(FSTAB);
  });

  test.skipIf(existsSync('/swapfile'))(
    'is part of the plan, and never created without permission',
    async () => {
      const argv = ['--swap', '1', '--skip-check', 'clock'];
      const env = { ...site.env, FEDI_NAME: 'test-preflight-swap', FEDI_BIND: `127.0.0.${ADDRESS + 1}` };
      const other = join(scratch, 'other');
      const plan = await tool(['plan', '--check', '--dir', other, ...argv], { env });
      expect([plan.code, plan.stdout]).toEqual([
        1,
        expect.stringMatching(/^Swap file of 1 GB: \/swapfile, added to \/etc\/fstab$/m),
      ]);
      const open = mkdtempSync(join(tmpdir(), 'fedi-open-'));
      execFileSync('chmod', ['1777', open]);
      try {
        const run = await asNobody(open, 'docker', ['apply', '--dir', join(open, 'site'), ...argv], env);
        expect(run.stderr).toMatch(
          /Only root can create a swap file\.[\s\S]*sudo sh -c '.*mkswap \/swapfile/,
        );
        expect(run.code).toBe(4);
      } finally {
        rmSync(open, { recursive: true, force: true });
      }
      expect(existsSync('/swapfile')).toBe(false);
    },
  );
});
