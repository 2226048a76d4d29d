/** Prints rows under a header, first column left-aligned, the others right-aligned. */
export const printTable = (header: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>): void => {
  const all = [header, ...rows]
  const widths = header.map((_, column) => Math.max(...all.map((row) => (row[column] ?? "").length)))
  for (const row of all) {
    const cells = widths.map((width, column) => {
      const cell = row[column] ?? ""
      return column === 0 ? cell.padEnd(width) : cell.padStart(width)
    })
    console.log(cells.join("  ").trimEnd())
  }
}

/** A count with thousands separators: `117,000`. */
export const grouped = (value: number): string => Math.round(value).toLocaleString("en-US")
