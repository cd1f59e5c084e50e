/** Differences of texts. A module of its own, loaded when needed, so that only the used part of the library is bundled. */
export { createTwoFilesPatch } from 'diff';
