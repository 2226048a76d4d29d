/** The MessagePack extension codes of `protocol/README.md`, section Values. */
export const ExtensionCode = {
  tuple: 1,
  int: 2,
  set: 3,
  map: 4,
  complex: 5,
  decimal: 6,
  datetime: 7,
  date: 8,
  time: 9,
  timedelta: 10,
  text: 11,
  float: 12,
  adapted: 13,
  shared: 14,
  ref: 15,
  callback: 16
} as const

/**
 * How deep values may nest, on both sides. Deep enough for any data that people write, shallow enough for the stack of
 * a recursive encoder in either language.
 */
export const maxDepth = 512

/** How many extensions may hold each other. Each is a call of a hook in Python, on the C stack. */
export const maxNestedExtensions = 125
