/** The API key of this tab: taken from the address bar or the form, kept until the tab is closed. */

const SLOT = "paretune-api-key";

/** @returns {string | null} */
export const sessionKey = () => sessionStorage.getItem(SLOT);

export const forgetSessionKey = () => sessionStorage.removeItem(SLOT);

/** @param {string} key */
export const keepSessionKey = (key) => sessionStorage.setItem(SLOT, key);

/**
 * Whether a header can carry it; the browser refuses to send anything else.
 * @param {string} key
 */
export const looksLikeKey = (key) => /^[\x21-\x7e]+$/.test(key);

export const NOT_A_KEY = "A key has no spaces and no accented letters. Copy it once more.";

/**
 * Move a key from the fragment into the session, so that no bookmark or screenshot shows it.
 * @returns {string | null} what is wrong with the key
 */
export function takeKeyFromAddress() {
  const fragment = new URLSearchParams(location.hash.slice(1));
  const key = fragment.get("key");
  if (key === null) return null;
  fragment.delete("key");
  const rest = fragment.size ? `#${fragment}` : "";
  history.replaceState(null, "", location.pathname + location.search + rest);
  if (!looksLikeKey(key)) return NOT_A_KEY;
  keepSessionKey(key);
  return null;
}
