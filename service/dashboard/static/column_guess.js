/** Which column of a table is the text and which the label, by their names as `paretune init` goes by them. */

const TEXTS = ["text", "sentence", "review", "content", "message", "body", "comment", "tweet", "utterance",
  "question", "document", "description", "premise", "title"]; // prettier-ignore
const LABELS = ["label", "labels", "class", "category", "target", "sentiment", "intent", "topic", "rating",
  "stars", "score", "emotion", "y"]; // prettier-ignore

/**
 * Guess both; without a telling name, the text has the longest cells and the label is the last of the others.
 * @param {{columns: string[], first_rows: string[][]}} head
 */
export function guessColumns({ columns, first_rows }) {
  const lengthOf = (/** @type {string} */ column) =>
    first_rows.reduce((sum, row) => sum + row[columns.indexOf(column)].length, 0);
  const longest = columns.reduce((best, column) => (lengthOf(column) > lengthOf(best) ? column : best), columns[0]);
  const text = named(columns, TEXTS) ?? longest;
  const others = columns.filter((column) => column !== text);
  return { text, label: named(others, LABELS) ?? others.at(-1) ?? "" };
}

/**
 * @param {string[]} columns
 * @param {string[]} names
 */
const named = (columns, names) =>
  names.map((name) => columns.find((column) => column.toLowerCase() === name)).find((column) => column !== undefined);
