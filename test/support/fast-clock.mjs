/** Preloaded into the tool (`NODE_OPTIONS=--import=…`): its clock for waits runs 30 times as fast, so that deadlines pass soon. */
const { now } = Date;
const start = now();
Date.now = () => start + (now() - start) * 30;
