/** Decimals of a column, which apache-arrow gives as words of 32 bits, and prints right for 128 bits only. */
import type * as Arrow from "apache-arrow"
import * as BigDecimal from "effect/BigDecimal"
import type { NullOr } from "./columns.ts"

/** A column of decimals, as it is or as `Table.schema` types one that may hold nulls. */
export type DecimalColumn = Arrow.Vector<Arrow.Decimal> | Arrow.Vector<NullOr<Arrow.Decimal>>

/** The items of a column of decimals of any width; null where there is none. */
export const decimalsOf = (column: DecimalColumn): Array<BigDecimal.BigDecimal | null> =>
  column.data.flatMap((data) => {
    const { bitWidth, scale } = data.type
    const words = bitWidth / 32
    return Array.from({ length: data.length }, (_, i) =>
      data.getValid(i)
        ? BigDecimal.make(BigInt.asIntN(bitWidth, unsigned(data.values.subarray(words * i, words * (i + 1)))), scale)
        : null
    )
  })

/** An integer of its words, the lowest first. */
const unsigned = (words: Uint32Array): bigint => words.reduceRight((high, word) => (high << 32n) | BigInt(word), 0n)
