/** The code of the commands that use a site. It loads as a whole when one of them runs: most of it is shared. */
export { run as add } from './add.ts';
export { run as apply } from './apply.ts';
export { logs, restart, start, stop } from './compose.ts';
export { run as doctor } from './doctor.ts';
export { run as lab } from './lab.ts';
export { run as mail } from './mail.ts';
export { run as plan } from './plan.ts';
export { run as prove } from './prove.ts';
export { run as remove } from './remove.ts';
export { run as reset } from './reset.ts';
export { run as rollback } from './rollback.ts';
export { run as secrets } from './secrets.ts';
export { run as status } from './status.ts';
export { toolNamed } from './tool.ts';
export { run as uninstall } from './uninstall.ts';
export { run as user } from './user.ts';
export { run as wizard } from './wizard.ts';
