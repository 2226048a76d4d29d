/**
 * A complex number: Python's `complex`, and one element of a complex tensor.
 */
import * as Equal from "effect/Equal"
import * as Hash from "effect/Hash"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"

const TypeId = "~@snakepit/core/Complex"

/** A complex number of two float64. NaN, infinities and signed zeros are kept in either part. */
export class Complex implements Equal.Equal {
  /** Real part. */
  readonly re: number
  /** Imaginary part. */
  readonly im: number

  constructor(re: number, im: number) {
    this.re = re
    this.im = im
  }

  static readonly isComplex = (value: unknown): value is Complex => Predicate.hasProperty(value, TypeId)

  static readonly schema: Schema.declare<Complex> = Schema.declare(Complex.isComplex, { identifier: "Complex" })

  get [TypeId](): typeof TypeId {
    return TypeId
  }

  [Equal.symbol](that: unknown): boolean {
    return Complex.isComplex(that) && Equal.equals(this.re, that.re) && Equal.equals(this.im, that.im)
  }

  [Hash.symbol](): number {
    return Hash.combine(Hash.number(this.re))(Hash.number(this.im))
  }

  /** `1+2i`. */
  toString(): string {
    const sign = this.im < 0 || Object.is(this.im, -0) ? "-" : "+"
    return `${Object.is(this.re, -0) ? "-0" : this.re}${sign}${Math.abs(this.im)}i`
  }
}
