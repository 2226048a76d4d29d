/**
 * A number that has to arrive in Python as a `float`, even when it is an integer.
 *
 * JavaScript has one number type, so `2` is sent as Python's `int` and `2.5` as `float`. That is right nearly always;
 * where it is not (`struct.pack`, a strict pydantic field, `isinstance(x, float)`), write `new Float(2)`.
 */
import * as Equal from "effect/Equal"
import * as Hash from "effect/Hash"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"

const TypeId = "~@snakepit/core/Float"

/** A number sent as Python's `float`. Results never hold one: a Python float arrives as a number. */
export class Float implements Equal.Equal {
  readonly value: number

  constructor(value: number) {
    this.value = value
  }

  static readonly isFloat = (value: unknown): value is Float => Predicate.hasProperty(value, TypeId)

  static readonly schema: Schema.declare<Float> = Schema.declare(Float.isFloat, { identifier: "Float" })

  get [TypeId](): typeof TypeId {
    return TypeId
  }

  [Equal.symbol](that: unknown): boolean {
    return Float.isFloat(that) && Equal.equals(this.value, that.value)
  }

  [Hash.symbol](): number {
    return Hash.number(this.value)
  }

  valueOf(): number {
    return this.value
  }

  /** As Python writes it: `2.0`, `2.5`. */
  toString(): string {
    if (Object.is(this.value, -0)) return "-0.0"
    return Number.isInteger(this.value) && Math.abs(this.value) < 1e21 ? `${this.value}.0` : String(this.value)
  }

  toJSON(): number {
    return this.value
  }
}
