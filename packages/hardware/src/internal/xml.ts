/**
 * As much XML as `nvidia-smi -q -x` prints: elements with text or elements in them. Whatever is malformed ends the element it
 * stands in; nothing throws, and no entity but the five of XML itself is expanded.
 */

/** @internal */
export interface Element {
  readonly name: string
  /** Trimmed; empty when there are elements inside. */
  readonly text: string
  readonly children: ReadonlyArray<Element>
}

const token = /<(?:(\/)|([!?]))?([A-Za-z_][\w.-]*)?[^<>]*?(\/)?>|[^<]+/g

/** Deeper nesting than any tool prints is no document. */
const maxDepth = 32

/** The document as an element without a name. */
export const parse = (document: string): Element => {
  interface Open {
    readonly name: string
    text: string
    readonly children: Array<Element>
  }
  const root: Open = { name: "", text: "", children: [] }
  const open: Array<Open> = [root]
  const top = (): Open => open[open.length - 1] ?? root
  const close = () => {
    const done = open.length > 1 ? open.pop() : undefined
    if (done !== undefined) top().children.push({ ...done, text: done.children.length > 0 ? "" : done.text.trim() })
  }
  for (const [whole, closing, declaration, name, selfClosing] of document.matchAll(token)) {
    if (!whole.startsWith("<")) top().text += unescape(whole)
    else if (declaration !== undefined || name === undefined) continue
    else if (closing !== undefined) {
      // an end without a beginning is passed over; one further out ends what is inside it too
      const at = open.findLastIndex((element) => element.name === name)
      for (let left = at > 0 ? open.length - at : 0; left > 0; left--) close()
    } else if (selfClosing !== undefined) top().children.push({ name, text: "", children: [] })
    else if (open.length < maxDepth) open.push({ name, text: "", children: [] })
  }
  while (open.length > 1) close()
  return root
}

/** The first element at a path of names. */
export const find = (element: Element, ...path: ReadonlyArray<string>): Element | undefined => {
  let found: Element | undefined = element
  for (const name of path) found = found?.children.find((child) => child.name === name)
  return found
}

/** The text of the first element at a path of names. */
export const text = (element: Element, ...path: ReadonlyArray<string>): string | undefined =>
  find(element, ...path)?.text

/** All elements of a name directly inside this one. */
export const all = (element: Element | undefined, name: string): ReadonlyArray<Element> =>
  element?.children.filter((child) => child.name === name) ?? []

const entities: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" }

const unescape = (content: string): string =>
  content.replace(/&(amp|lt|gt|quot|apos);/g, (whole, name: string) => entities[name] ?? whole)
