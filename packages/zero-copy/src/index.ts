/** Arrays and tables that cross between TypeScript and Python, and the shared memory that they can be in. */
export {
  type DType,
  type Field,
  type Nested,
  type Range,
  type SharedOptions,
  Tensor,
  type TensorData,
  type TensorDataConstructor
} from "./Tensor.ts"
export {
  type Column,
  type Columns,
  type ColumnTypes,
  type NullableColumn,
  type NullOr,
  Table,
  TableAs,
  type TableKind,
  type TypesOf
} from "./Table.ts"
export { DeviceTensor, SharedDeviceTensor } from "./DeviceTensor.ts"
export { Lease } from "./Lease.ts"
export * as SharedMemory from "./SharedMemory.ts"
export * as Storage from "./Storage.ts"
export * as ZeroCopy from "./ZeroCopy.ts"
export * as ZeroCopyError from "./ZeroCopyError.ts"
export { findPlaces, mebibytes, type Places, segmentRoots } from "./internal/segments.ts"
export { CurrentLeases, Leases } from "./internal/leases.ts"
export type { Arena, Refusal, Region } from "./internal/arena.ts"
