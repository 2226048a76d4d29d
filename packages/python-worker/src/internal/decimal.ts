/**
 * Python's `decimal.Decimal` as text, both ways. The exponent is kept: `1.10` stays `1.10`, `1E+5` stays `1E+5`.
 */
import * as BigDecimal from "effect/BigDecimal"

const pattern = /^([+-]?)(\d+)(?:\.(\d*))?(?:[eE]([+-]?\d+))?$/

/** Longer decimals are refused: reading their digits takes more than linear time. */
const maxLength = 1_000_000

/** The text as a decimal, or what is wrong with it. */
export const parseDecimal = (text: string): BigDecimal.BigDecimal | string => {
  if (text.length > maxLength) return `a decimal of ${text.length} characters, more than ${maxLength}`
  const match = pattern.exec(text)
  if (match === null) return JSON.stringify(text.slice(0, 80))
  const [, sign, integer, fraction = "", exponent = "0"] = match
  const digits = BigInt(`${integer}${fraction}`)
  if (sign === "-" && digits === 0n) return `${text}, a zero with a sign, which BigDecimal does not have`
  const scale = fraction.length - Number(exponent)
  if (!Number.isSafeInteger(scale)) return `${text.slice(0, 80)}, whose exponent is out of range`
  return BigDecimal.make(sign === "-" ? -digits : digits, scale)
}

/** Exactly what Python's `str` gives for the same coefficient and exponent (General Decimal Arithmetic, to-scientific-string). */
export const formatDecimal = (decimal: BigDecimal.BigDecimal): string => {
  const sign = decimal.value < 0n ? "-" : ""
  const digits = String(decimal.value < 0n ? -decimal.value : decimal.value)
  const exponent = -decimal.scale
  // Digits to the left of the point if it were written without an exponent.
  const left = exponent + digits.length
  if (exponent <= 0 && left > -6) {
    if (exponent === 0) return sign + digits
    return left > 0 ? `${sign}${digits.slice(0, left)}.${digits.slice(left)}` : `${sign}0.${"0".repeat(-left)}${digits}`
  }
  const point = digits.length === 1 ? digits : `${digits.slice(0, 1)}.${digits.slice(1)}`
  return `${sign}${point}E${left > 0 ? "+" : ""}${left - 1}`
}
