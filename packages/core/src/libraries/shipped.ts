/** The classes of exceptions of libraries that ship with this package: workers read their attributes without being asked to. */
import type { LibraryErrorClass } from "../LibraryError.ts"
import * as Dspy from "./Dspy.ts"
import * as Json from "./Json.ts"
import * as Numpy from "./Numpy.ts"
import * as Pandas from "./Pandas.ts"
import * as Pydantic from "./Pydantic.ts"
import * as Requests from "./Requests.ts"
import * as Torch from "./Torch.ts"

/** All of them. */
export const shipped: ReadonlyArray<LibraryErrorClass> = [Dspy, Json, Numpy, Pandas, Pydantic, Requests, Torch].flatMap(
  ({ all }): ReadonlyArray<LibraryErrorClass> => all
)
