/** Several files as one ZIP (PKWARE's APPNOTE 6.3), not compressed: weights do not shrink. Up to 4 GiB. */

const LOCAL = 0x04034b50;
const CENTRAL = 0x02014b50;
const END = 0x06054b50;
const VERSION = 20;
const UTF_8 = 0x0800;
/** The first of January 1980, the earliest that the format knows: when a file was made is not told. */
const DATE = 0x21;

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value;
});

/**
 * @param {{name: string, content: Uint8Array<ArrayBuffer>}[]} files
 * @returns {Blob}
 */
export function zipOf(files) {
  /** @type {BlobPart[]} */
  const parts = [];
  /** @type {Uint8Array<ArrayBuffer>[]} */
  const directory = [];
  let offset = 0;
  for (const { name, content } of files) {
    const encoded = new TextEncoder().encode(name);
    const facts = [0, 0, DATE, crc32(content), content.length, content.length, encoded.length];
    const local = record([[LOCAL, 4], [VERSION, 2], [UTF_8, 2], ...described(facts), [0, 2]]);
    directory.push(
      record([[CENTRAL, 4], [VERSION, 2], [VERSION, 2], [UTF_8, 2], ...described(facts), [0, 2], [0, 2], [0, 2], [0, 2], [0, 4], [offset, 4]]),
      encoded,
    );
    parts.push(local, encoded, content);
    offset += local.length + encoded.length + content.length;
  }
  const size = directory.reduce((sum, { length }) => sum + length, 0);
  const end = record([[END, 4], [0, 2], [0, 2], [files.length, 2], [files.length, 2], [size, 4], [offset, 4], [0, 2]]);
  return new Blob([...parts, ...directory, end], { type: "application/zip" });
}

/**
 * Method, time, date, checksum, both sizes and the length of the name, in the widths of either header.
 * @param {number[]} facts
 * @returns {[number, number][]}
 */
const described = (facts) => facts.map((value, position) => [value, [2, 2, 2, 4, 4, 4, 2][position]]);

/**
 * Little-endian numbers of so many bytes each.
 * @param {[number, number][]} fields
 */
function record(fields) {
  const bytes = new Uint8Array(fields.reduce((sum, [, width]) => sum + width, 0));
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const [value, width] of fields) {
    if (width === 4) view.setUint32(at, value, true);
    else view.setUint16(at, value, true);
    at += width;
  }
  return bytes;
}

/** @param {Uint8Array} content */
function crc32(content) {
  let value = 0xffffffff;
  for (const byte of content) value = TABLE[(value ^ byte) & 0xff] ^ (value >>> 8);
  return (value ^ 0xffffffff) >>> 0;
}
