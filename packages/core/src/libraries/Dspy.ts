/** What DSPy raises. Models and providers have classes of their own since DSPy 3.3. */
import * as Schema from "effect/Schema"
import * as LibraryError from "../LibraryError.ts"

/** A class of `dspy.utils.exceptions`, with what is known of the request. */
const model =
  <Self>() =>
  <const Name extends string>(name: Name) =>
    LibraryError.make<Self>()(`dspy.${name}`, {
      pythonType: `dspy.utils.exceptions.${name}`,
      library: "dspy",
      versions: ">=3.2",
      attributes: {
        /** DSPy's own, like `rate_limit`. Null before 3.3, like the fields below. */
        code: Schema.NullOr(Schema.String),
        model: Schema.NullOr(Schema.String),
        provider: Schema.NullOr(Schema.String),
        /** Of HTTP. */
        status: Schema.NullOr(Schema.Int),
        requestId: LibraryError.at("request_id", Schema.NullOr(Schema.String)),
        /** Seconds that the provider asks to wait. */
        retryAfter: LibraryError.at("retry_after", Schema.NullOr(Schema.Number))
      }
    })

/** An answer of a model in which an adapter does not find the fields of the signature. */
export class AdapterParseError extends LibraryError.make<AdapterParseError>()("dspy.AdapterParseError", {
  pythonType: "dspy.utils.exceptions.AdapterParseError",
  library: "dspy",
  versions: ">=2.6",
  attributes: {
    adapter: LibraryError.at("adapter_name", Schema.String),
    /** What the model said. */
    response: LibraryError.at("lm_response", Schema.NullOr(Schema.String))
  }
}) {}

/** Code of a model that failed where it was run, and that another attempt may mend. */
export class CodeExecutionError extends LibraryError.make<CodeExecutionError>()("dspy.CodeExecutionError", {
  pythonType: "dspy.primitives.code_interpreter.CodeExecutionError",
  library: "dspy",
  versions: ">=3.3"
}) {}

/** An interpreter for code of a model that does not work; {@link CodeExecutionError} is its subclass. */
export class CodeInterpreterError extends LibraryError.make<CodeInterpreterError>()("dspy.CodeInterpreterError", {
  pythonType: "dspy.primitives.code_interpreter.CodeInterpreterError",
  library: "dspy",
  versions: ">=3.2"
}) {}

/** No answer came: the network, a name or a certificate. */
export class LMTransportError extends model<LMTransportError>()("LMTransportError") {}

/** Credentials that another process holds locked. */
export class LMLockTimeoutError extends model<LMLockTimeoutError>()("LMLockTimeoutError") {}

/** An answer beyond the budget for it. */
export class LMCollectionLimitError extends model<LMCollectionLimitError>()("LMCollectionLimitError") {}

/** A model without the credentials or settings that it needs; a subclass of {@link LMConfigurationError}. */
export class LMNotConfiguredError extends model<LMNotConfiguredError>()("LMNotConfiguredError") {}

/** A model or provider that is configured wrongly. */
export class LMConfigurationError extends model<LMConfigurationError>()("LMConfigurationError") {}

/** Something that the model or its provider cannot do. */
export class LMUnsupportedFeatureError extends model<LMUnsupportedFeatureError>()("LMUnsupportedFeatureError") {}

/** A stream that broke off or does not add up; a subclass of {@link LMUnexpectedError}. */
export class LMStreamAssemblyError extends model<LMStreamAssemblyError>()("LMStreamAssemblyError") {}

/** A failure that fits none of the other classes. */
export class LMUnexpectedError extends model<LMUnexpectedError>()("LMUnexpectedError") {}

/** Credentials that the provider refused. */
export class LMAuthError extends model<LMAuthError>()("LMAuthError") {}

/** A quota or an account that is used up. */
export class LMBillingError extends model<LMBillingError>()("LMBillingError") {}

/** Too many requests; see `retryAfter`. */
export class LMRateLimitError extends model<LMRateLimitError>()("LMRateLimitError") {}

/** A prompt that is longer than the model takes; a subclass of {@link LMInvalidRequestError}. */
export class ContextWindowExceededError extends model<ContextWindowExceededError>()("ContextWindowExceededError") {}

/** A model that the provider does not have; a subclass of {@link LMInvalidRequestError}. */
export class LMUnsupportedModelError extends model<LMUnsupportedModelError>()("LMUnsupportedModelError") {}

/** A request that the provider refused as it is. */
export class LMInvalidRequestError extends model<LMInvalidRequestError>()("LMInvalidRequestError") {}

/** An answer that took the provider too long. */
export class LMTimeoutError extends model<LMTimeoutError>()("LMTimeoutError") {}

/** A failure of the provider's. */
export class LMServerError extends model<LMServerError>()("LMServerError") {}

/** Whatever a provider answered instead of a result: the class of the seven above. */
export class LMProviderError extends model<LMProviderError>()("LMProviderError") {}

/** Whatever goes wrong with a model: the class of all of the above. */
export class LMError extends model<LMError>()("LMError") {}

/** All classes of this library, subclasses first. */
export const all = [
  AdapterParseError,
  CodeExecutionError,
  CodeInterpreterError,
  LMTransportError,
  LMLockTimeoutError,
  LMCollectionLimitError,
  LMNotConfiguredError,
  LMConfigurationError,
  LMUnsupportedFeatureError,
  LMStreamAssemblyError,
  LMUnexpectedError,
  LMAuthError,
  LMBillingError,
  LMRateLimitError,
  ContextWindowExceededError,
  LMUnsupportedModelError,
  LMInvalidRequestError,
  LMTimeoutError,
  LMServerError,
  LMProviderError,
  LMError
] as const
