import { assert, it } from "@effect/vitest"
import { visible } from "../../src/internal/visibleDevices.ts"

const devices = [{ uuid: "GPU-aa11" }, { uuid: "GPU-aa22" }, { uuid: "GPU-bb33" }, { uuid: null }]
const left = (value: string | undefined) =>
  visible(devices, value, ({ uuid }) => [uuid]).map((device) => devices.indexOf(device))

it("visible leaves all devices when the variable is not set", () => {
  assert.deepStrictEqual(left(undefined), [0, 1, 2, 3])
})

it("visible leaves the devices that are named, in their order", () => {
  assert.deepStrictEqual(left("2,0"), [2, 0])
  assert.deepStrictEqual(left(" 3 , 1 "), [3, 1])
  assert.deepStrictEqual(left("GPU-bb"), [2])
  assert.deepStrictEqual(left("1,1"), [1])
})

it("visible ends the list where an entry names no device, as CUDA does", () => {
  for (const value of ["", "-1", "NoDevFiles", "9,0", "GPU-aa,0", "GPU-,0", "x"])
    assert.deepStrictEqual(left(value), [])
  assert.deepStrictEqual(left("0,-1,1"), [0])
})
