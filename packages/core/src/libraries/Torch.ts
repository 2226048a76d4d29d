/**
 * What PyTorch raises beside Python's own classes. Shapes, dtypes, devices and memory have tags of their own, see
 * `PythonError.ts`.
 */
import * as LibraryError from "../LibraryError.ts"

/** A matrix that linear algebra cannot work with. */
export class LinAlgError extends LibraryError.make<LinAlgError>()("torch.LinAlgError", {
  pythonType: "torch._C._LinAlgError",
  library: "torch"
}) {}

/** Whatever a collective operation between processes raised. */
export class DistError extends LibraryError.make<DistError>()("torch.DistError", {
  pythonType: "torch.distributed.DistError",
  library: "torch",
  versions: ">=2.1"
}) {}

/** A fault on an accelerator that it may not recover from. */
export class AcceleratorError extends LibraryError.make<AcceleratorError>()("torch.AcceleratorError", {
  pythonType: "torch.AcceleratorError",
  library: "torch",
  versions: ">=2.8"
}) {}

/** Code that `torch.compile` cannot trace. */
export class Unsupported extends LibraryError.make<Unsupported>()("torch.Unsupported", {
  pythonType: "torch._dynamo.exc.Unsupported",
  library: "torch",
  versions: ">=2"
}) {}

/** All classes of this library. */
export const all = [LinAlgError, DistError, AcceleratorError, Unsupported] as const
