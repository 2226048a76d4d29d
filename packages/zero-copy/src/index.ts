/** Arrays and tables that cross between TypeScript and Python. */
export { type DType, type Field, type Nested, Tensor, type TensorData, type TensorDataConstructor } from "./Tensor.ts"
export { Table, TableAs, type TableKind } from "./Table.ts"
