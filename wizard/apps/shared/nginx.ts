/** nginx in a container of an app, for its uploads and what it marks as public. */
import type { FixedImage } from '../app.ts';

export const NGINX: FixedImage = { reference: 'docker.io/library/nginx:1.30.6-alpine' };
