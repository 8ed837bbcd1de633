/** Says of a table that is wider than its frame that it scrolls, for as long as it is. */

/**
 * @param {HTMLElement} frame it scrolls, and holds the table
 * @param {HTMLElement} hint
 */
export function hintAtWidth(frame, hint) {
  const sizes = new ResizeObserver(() => {
    hint.hidden = frame.scrollWidth <= frame.clientWidth;
  });
  for (const element of [frame, ...frame.children]) sizes.observe(element);
}
