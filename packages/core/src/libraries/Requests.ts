/** What requests raises. */
import * as Schema from "effect/Schema"
import * as LibraryError from "../LibraryError.ts"

/** A class of `requests.exceptions`, with what is known of request and answer. */
const requests =
  <Self>() =>
  <const Name extends string>(name: Name) =>
    LibraryError.make<Self>()(`requests.${name}`, {
      pythonType: `requests.exceptions.${name}`,
      library: "requests",
      versions: ">=2",
      attributes: {
        method: LibraryError.at("request.method", Schema.NullOr(Schema.String)),
        url: LibraryError.at("request.url", Schema.NullOr(Schema.String)),
        /** Null when there was no answer. */
        statusCode: LibraryError.at("response.status_code", Schema.NullOr(Schema.Int)),
        reason: LibraryError.at("response.reason", Schema.NullOr(Schema.String))
      }
    })

/** A status of 400 or above, from `raise_for_status()`. */
export class HTTPError extends requests<HTTPError>()("HTTPError") {}

/** No connection to the server. */
export class ConnectionError extends requests<ConnectionError>()("ConnectionError") {}

/** A proxy that refused. */
export class ProxyError extends requests<ProxyError>()("ProxyError") {}

/** A certificate or handshake that failed. */
export class SSLError extends requests<SSLError>()("SSLError") {}

/** Too long a wait; {@link ConnectTimeout} and {@link ReadTimeout} are its subclasses. */
export class Timeout extends requests<Timeout>()("Timeout") {}

/** Too long a wait for the connection. The request has not been sent. */
export class ConnectTimeout extends requests<ConnectTimeout>()("ConnectTimeout") {}

/** Too long a wait for the answer. */
export class ReadTimeout extends requests<ReadTimeout>()("ReadTimeout") {}

/** A request without an address. */
export class URLRequired extends requests<URLRequired>()("URLRequired") {}

/** A redirect behind too many others. */
export class TooManyRedirects extends requests<TooManyRedirects>()("TooManyRedirects") {}

/** An address without `http://` or `https://`. */
export class MissingSchema extends requests<MissingSchema>()("MissingSchema") {}

/** An address of a kind that requests does not know. */
export class InvalidSchema extends requests<InvalidSchema>()("InvalidSchema") {}

/** An address that is none. */
export class InvalidURL extends requests<InvalidURL>()("InvalidURL") {}

/** A header with a value that headers cannot have. */
export class InvalidHeader extends requests<InvalidHeader>()("InvalidHeader") {}

/** The address of a proxy that is none. */
export class InvalidProxyURL extends requests<InvalidProxyURL>()("InvalidProxyURL") {}

/** JSON that cannot be read or written; {@link JSONDecodeError} is its subclass. */
export class InvalidJSONError extends requests<InvalidJSONError>()("InvalidJSONError") {}

/** An answer that is no JSON. */
export class JSONDecodeError extends requests<JSONDecodeError>()("JSONDecodeError") {}

/** An answer that broke off. */
export class ChunkedEncodingError extends requests<ChunkedEncodingError>()("ChunkedEncodingError") {}

/** An answer that does not decompress. */
export class ContentDecodingError extends requests<ContentDecodingError>()("ContentDecodingError") {}

/** An answer that was read already. */
export class StreamConsumedError extends requests<StreamConsumedError>()("StreamConsumedError") {}

/** Retries that are used up. */
export class RetryError extends requests<RetryError>()("RetryError") {}

/** A body that cannot be sent a second time. */
export class UnrewindableBodyError extends requests<UnrewindableBodyError>()("UnrewindableBodyError") {}

/** Anything that requests raises: the class of all of the above, so it comes last in `PythonError.as`. */
export class RequestException extends requests<RequestException>()("RequestException") {}

/** All classes of this library, subclasses first. */
export const all = [
  HTTPError,
  ConnectionError,
  ProxyError,
  SSLError,
  Timeout,
  ConnectTimeout,
  ReadTimeout,
  URLRequired,
  TooManyRedirects,
  MissingSchema,
  InvalidSchema,
  InvalidURL,
  InvalidHeader,
  InvalidProxyURL,
  InvalidJSONError,
  JSONDecodeError,
  ChunkedEncodingError,
  ContentDecodingError,
  StreamConsumedError,
  RetryError,
  UnrewindableBodyError,
  RequestException
] as const
