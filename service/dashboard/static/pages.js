/** Lists that the service answers page by page. */

/**
 * Read the first pages, and whether there are more.
 * @template {{next_page_token: string | null}} Page
 * @param {number} most
 * @param {(token: string | null) => Promise<Page>} readPage
 */
export async function readPages(most, readPage) {
  /** @type {Page[]} */
  const pages = [];
  /** @type {string | null} */
  let token = null;
  do {
    const page = await readPage(token);
    pages.push(page);
    token = page.next_page_token;
  } while (token !== null && pages.length < most);
  return { pages, more: token !== null };
}
