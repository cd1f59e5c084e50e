/** Differences of texts. Loaded on demand through this file: the bundle then has only the part of the library that is used. */
export { createTwoFilesPatch } from 'diff';
