/** Gives the person a file. Knows nothing of what is in it. */

/**
 * @param {Blob} blob
 * @param {string} name
 */
export function save(blob, name) {
  const address = URL.createObjectURL(blob);
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  // The browser has taken the address by then.
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

/**
 * @param {string} text
 * @param {string} type
 * @param {string} name
 */
export const saveText = (text, type, name) => save(new Blob([text], { type }), name);

/**
 * A name as files have them.
 * @param {string} name
 */
export const asFileName = (name) => name.replace(/[^A-Za-z0-9._-]+/g, "-").slice(0, 80) || "study";
